"""kernel_module: code put into the kernel or removed. Nothing here ever is: all calls fail."""

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("call", ["init_module", "finit_module", "delete_module"])
def test_tried_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    by_file = call == "finit_module"
    for line, event in run.pairs("kernel_module", COUNT):
        assert line["res"] < 0
        run.check(
            event,
            call=call,
            res=line["res"],
            fd=line["fd"] if by_file else -1,
            path=str(place / "module.ko") if by_file else "",
            args=line["args"],
        )
