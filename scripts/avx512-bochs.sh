#!/usr/bin/env bash
# Runs a package's tests on an emulated processor with AVX-512, for machines that
# have none: Bochs boots a Debian kernel that runs the test binary and nothing
# else. It needs Debian with bochs and python3; the kernel, busybox, isolinux and
# xorriso are downloaded and unpacked beside, not installed. Bochs 2.7 knows
# AVX-512 F, BW, DQ and VL, but not AVX512_BF16.
#
#   scripts/avx512-bochs.sh [PATTERN [PACKAGE]]
#
# PATTERN says which tests, as for go test -run; PACKAGE whose, the kernels' where
# there is none. Without arguments all tests of kernels on AVX-512 run (20
# minutes). What PyTorch computed is compared on the whole engine by
#
#   scripts/avx512-bochs.sh TestReplayOfGoldenFoldersPasses/cpu_avx512 ./evaluate
#
# ALMA_BOCHS names a folder that keeps the downloads, ALMA_BOCHS_LIMIT the
# seconds until it gives up.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=${1:-Test/avx512}
package=${2:-./compute/cpu/kernel}
package=${package#./}
limit=${ALMA_BOCHS_LIMIT:-3600}
work=${ALMA_BOCHS:-$(mktemp -d)}
mkdir -p "$work"
work=$(cd "$work" && pwd)
for tool in bochs python3 dpkg-deb apt-get; do
  command -v "$tool" >/dev/null || { echo "starting Bochs: $tool is not installed" >&2; exit 1; }
done

root=$work/root
if [ ! -e "$root/done" ]; then
  mkdir -p "$work/debs" "$root"
  kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ {print $2; exit}')
  (cd "$work/debs" && apt-get download "$kernel" busybox-static isolinux syslinux-common xorriso libisoburn1 libburn4 libisofs6 libjte2)
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
  touch "$root/done"
fi

run=$(mktemp -d "$work/run.XXXXXX")
mkdir -p "$run/iso/isolinux"

# The first file system: the binaries, a folder for temporary files, the package's
# data and the command's, which others' tests read too; and a console.
files=$run/files
mkdir -p "$files/tmp" "$files/$package"
cp "$root/bin/busybox" "$files"
CGO_ENABLED=0 go test -c -o "$files/package.test" "./$package"
for data in "$package/testdata" cmd/alma/testdata; do
  [ ! -d "$data" ] || cp -r --parents "$data" "$files"
done
cat > "$files/init" <<INIT
#!/busybox sh
cd /$package
ALMA_CPU=avx512 /package.test -test.short -test.v -test.timeout=0 -test.run='$tests'
echo "the tests end with \$?"
/busybox sleep 1000000
INIT
python3 - "$files" <<'PYTHON' | gzip -1 > "$run/iso/initrd.gz"
import os, sys
number = 0
def entry(name, mode, data=b'', major=0, minor=0):
    global number
    number += 1
    path = name.encode() + b'\0'
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(path), 0)
    head = b'070701' + b''.join(b'%08x' % f for f in fields) + path
    for part in (head, data):
        sys.stdout.buffer.write(part + b'\0' * (-len(part) % 4))
entry('dev', 0o40755)
entry('dev/console', 0o20600, b'', 5, 1)
os.chdir(sys.argv[1])
for folder, folders, names in os.walk('.'):
    for name in folders:
        entry(os.path.normpath(os.path.join(folder, name)), 0o41777)
    for name in names:
        path = os.path.normpath(os.path.join(folder, name))
        entry(path, 0o100755, open(path, 'rb').read())
entry('TRAILER!!!', 0)
PYTHON

cp "$root"/usr/lib/ISOLINUX/isolinux.bin "$root"/usr/lib/syslinux/modules/bios/ldlinux.c32 "$run/iso/isolinux/"
cp "$root"/boot/vmlinuz-* "$run/iso/vmlinuz"
# Bochs and Linux disagree on the size of compacted register states: clearcpuid
# makes Linux save them in the standard form.
cat > "$run/iso/isolinux/isolinux.cfg" <<CONFIG
default test
prompt 0
timeout 1
label test
 kernel /vmlinuz
 append initrd=/initrd.gz console=ttyS0 clearcpuid=xsaves,xsavec mitigations=off tsc=reliable lpj=1000000 noapic nolapic_timer rcupdate.rcu_cpu_stall_suppress=1 nowatchdog loglevel=2 random.trust_cpu=on
CONFIG
LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu "$root/usr/bin/xorriso" -as mkisofs -quiet -o "$run/cd.iso" \
  -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table -r "$run/iso" 2>/dev/null

cat > "$run/bochsrc" <<CONFIG
cpu: model=corei7_skylake_x, count=1, ips=60000000, reset_on_triple_fault=0
memory: guest=768, host=768
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$run/cd.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$run/console
clock: sync=none
log: $run/log
panic: action=fatal
error: action=ignore
info: action=ignore
display_library: rfb, options="timeout=60"
speaker: enabled=0
plugin_ctrl: unmapped=0, biosdev=0, speaker=0, extfpuirq=0, gameport=0
CONFIG
: > "$run/console"
echo c > "$run/continue" # Debian's Bochs begins in its debugger
bochs -q -f "$run/bochsrc" -rc "$run/continue" > "$run/bochs.out" 2>&1 < /dev/null &
bochs=$!
# Its screen goes to a viewer, without which it does not start; this one looks
# at nothing.
python3 - <<'PYTHON' &
import socket, sys, time
def connect():
    for _ in range(300):
        try:
            return socket.create_connection(('127.0.0.1', 5900))
        except OSError:
            time.sleep(.1)
    sys.exit('Bochs opens no port 5900 for its screen; is another one running?')
screen = connect()
screen.recv(12)
screen.sendall(b'RFB 003.003\n')
screen.recv(4)
screen.sendall(b'\1')
while screen.recv(1 << 16):
    pass
PYTHON
viewer=$!
tail -n +1 -f "$run/console" &
tail=$!
trap 'kill "$bochs" "$viewer" "$tail" 2>/dev/null || true; rm -rf "$run"' EXIT

end=$((SECONDS + limit))
until grep -q '^the tests end with [0-9]' "$run/console"; do
  kill -0 "$bochs" 2>/dev/null || { tail -n 5 "$run/bochs.out" >&2; echo "Bochs ended before the tests" >&2; exit 1; }
  [ "$SECONDS" -lt "$end" ] || { echo "the tests did not end in $limit seconds" >&2; exit 1; }
  sleep 1
done
sleep 2 # the console's last line
grep -q '^the tests end with 0' "$run/console"
