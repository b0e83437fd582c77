# First process of a guest once it has its root: run the command, say how it
# ended, power off. ttyS0 is the kernel's console; ttyS1 carries what the
# command prints, as it is.
stty -F /dev/ttyS1 raw -echo
exec </dev/null >/dev/ttyS1 2>&1
echo "guest: started $(uname -r)"
bash /run/guest/command.sh
echo "guest: exit $?"
exec /run/guest/busybox poweroff -f
