#!/usr/bin/env bash
# Run the kernel tests in the builds for AVX-512, AVX-512 VNNI, AVX-VNNI and AMX on a machine without these instructions: Bochs, an emulator
# of whole computers, boots Linux with Python, NumPy, pytest and the compiled pockettts/*.so. This tests the instructions, the CPU detection
# and what the operating system grants, but not the speed.
#
# Requires Debian with bochs, isolinux, syslinux-common, xorriso, cpio and zstd, but no root: the kernel's package is only unpacked. Debian
# 12's Bochs 2.7 emulates Ice Lake (AVX-512 VNNI). It boots in three minutes, and is slow, so choose tests; arguments are passed to
# pytest: scripts/test_bochs.sh -k "avx512vnni and int8". Bochs 3.0 is several times faster without its debugger, and has AVX-VNNI and AMX:
# CPU=sapphire_rapids GUI=nogui BXSHARE=... scripts/test_bochs.sh. With AMX, Linux boots only after repairs of Bochs: see docs/speed-log.md.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=$(realpath -s "${PYTHON:-.venv/bin/python}")
WORK=$PWD/build/bochs ROOT=$PWD/build/bochs/root ISO=$PWD/build/bochs/iso
[ $# -gt 0 ] || set -- -k "avx512 or avxvnni"

for tool in bochs xorriso cpio zstd; do
    command -v $tool >/dev/null || { echo "$tool is missing: apt install bochs isolinux syslinux-common xorriso cpio zstd" >&2; exit 1; }
done
mkdir -p "$WORK/kernel" "$ISO"
if ! ls "$WORK"/kernel/boot/vmlinuz-* >/dev/null 2>&1; then
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/ *Depends: //p')
    (cd "$WORK" && apt-get -qq download "$package" && dpkg -x "$package"_*.deb kernel && rm "$package"_*.deb)
fi

# The guest has the same paths as this machine, and nothing but one Python program.
real=$(realpath "$PYTHON")
read -r stdlib site < <("$PYTHON" -c 'import sysconfig as s; print(s.get_path("stdlib"), s.get_path("purelib"))')
rm -rf "$ROOT"
mkdir -p "$ROOT"/{proc,dev,tmp,code}
cp -a pockettts tests "$ROOT/code/"
rm -rf "$ROOT"/code/{pockettts/models,tests/data}
copy() { tar -cP --exclude={tests,config-*,idlelib,ensurepip,tkinter} "$@" | tar -x -C "$ROOT" 2>/dev/null; }
copy --exclude={site-packages,dist-packages,test} "$real" "$stdlib"
copy "$site"/{numpy,numpy.libs,py.py,pytest,_pytest,pluggy,iniconfig,packaging,pygments}
{ echo "$real"; find "$ROOT" -name '*.so*'; } | xargs ldd 2>/dev/null | grep -o '/[^ :]*' | sort -u | while read -r library; do
    case $library in "$ROOT"*) ;; *) cp -Lu --parents "$library" "$ROOT" ;; esac
done
printf '%s\n' "$@" >"$ROOT/arguments"
cat >"$ROOT/init" <<END
#!$real
import ctypes, os, subprocess, sys, termios
libc = ctypes.CDLL(None)
for kind, at in ((b"proc", b"/proc"), (b"devtmpfs", b"/dev")):
    libc.mount(kind, at, kind, 0, None)
os.chdir("/code")
env = {"PYTHONPATH": "/code:$site", "HOME": "/tmp"}
subprocess.run([sys.executable, "-c", "from pockettts import ops; print('builds:', *ops.builds(), '- chosen:', ops.ISA)"], env=env)
command = ["-m", "pytest", "-v", "--no-header", "--color=no", "--noconftest", "-p", "no:cacheprovider", "tests/test_kernels.py"]
done = subprocess.run([sys.executable, *command, *open("/arguments").read().splitlines()], env=env)
print("exit status", done.returncode, flush=True)
termios.tcdrain(1)
libc.reboot(0x4321FEDC)  # power off
END
chmod +x "$ROOT/init"

cp "$WORK"/kernel/boot/vmlinuz-* "$ISO/vmlinuz"
(cd "$ROOT" && find . | cpio -o -H newc --quiet) | zstd -q -1 -f -o "$ISO/initrd"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$ISO/"
# clearcpuid: the numbers are features of Linux that Bochs describes incompletely: fsrm, and without AMX also pku, ospke, xsavec, xsaves.
features=580,515,516,321,323
[ "${CPU:-}" != sapphire_rapids ] || features=580
cat >"$ISO/isolinux.cfg" <<END
default linux
label linux
 kernel vmlinuz
 append initrd=initrd console=ttyS0 quiet nosmp mitigations=off random.trust_cpu=on rdinit=/init clearcpuid=$features
END
xorriso -as mkisofs -quiet -o "$WORK/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$ISO"
GUI=${GUI:-rfb, options="timeout=0"}
SOUND= # Bochs 2.7 aborts where there is no sound card
if bochs --help features 2>&1 | grep sb16 >/dev/null; then SOUND="sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy"; fi
cat >"$WORK/bochsrc" <<END
config_interface: textconfig
display_library: $GUI
cpu: model=${CPU:-corei7_icelake_u}, ips=50000000
memory: guest=1024, host=1024
ata0-master: type=cdrom, path=$WORK/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=/dev/stdout
$SOUND
clock: sync=none
panic: action=fatal
log: $WORK/bochs.log
END
# c: the debugger in Debian's Bochs shall continue. Bochs exits with 1 when the guest powers off.
echo c | bochs -q -f "$WORK/bochsrc" 2>"$WORK/errors" | tee "$WORK/output" || true
grep -q "^exit status 0" "$WORK/output"
