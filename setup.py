"""Builds the kernels: `pockettts/_ops.pyx`, once for every instruction set of this architecture (`ops.py` picks one at import)."""
import os
import platform
import shutil
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Instruction set (see ops.py) -> compiler flags. "base" runs on every CPU of the architecture that we support.
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"]
X86 = {
    "base": ["-msse4.2"],
    "avx2": ["-mavx2", "-mfma"],
    "avxvnni": ["-mavx2", "-mfma", "-mavxvnni"],
    "avx512": AVX512,
    "avx512vnni": [*AVX512, "-mavx512vnni"],
}
ARM = {"base": [], "dotprod": ["-march=armv8.2-a+dotprod"]}
MACHINES = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}
# Strict arithmetic (see _tile.h): of the fast-math family only what changes no result.
FLAGS = ["-O2", "-fno-math-errno", "-fno-trapping-math", "-g0", "-w"]
WHERE_KNOWN = ["-ftree-vectorize", "-fvect-cost-model=dynamic"]         # not to Clang, which vectorises anyway
HERE = Path(__file__).parent
GENERATED = HERE / "build" / "kernels"


def machine() -> str:
    """What is compiled for: this machine, unless a cross build says otherwise (_PYTHON_HOST_PLATFORM)."""
    target = sysconfig.get_platform().rpartition("-")[2].lower()
    return platform.machine().lower() if target == "universal2" else target


def kernels() -> list[Extension]:
    """One extension for each build: the same source under another name. A compiler may be too old for all but the base."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    extensions = []
    for isa, flags in MACHINES.get(machine(), {"base": []}).items():
        suffix = "" if isa == "base" else f"_{isa}"
        source = GENERATED / f"_ops{suffix}.pyx"
        shutil.copyfile(HERE / "pockettts" / "_ops.pyx", source)
        extensions.append(Extension(
            f"pockettts._ops{suffix}", [os.path.relpath(source, HERE)], include_dirs=["pockettts"],
            depends=["pockettts/_tile.h", "pockettts/_pool.h"], extra_compile_args=FLAGS + flags, optional=isa != "base"))
    return cythonize(extensions, nthreads=0, quiet=True)


class BuildKernels(build_ext):
    """Adds what a compiler may lack: GCC's own flags, and the one that links threads where the C library has them apart."""

    def build_extensions(self) -> None:
        flags = [flag for flag in WHERE_KNOWN if self.builds(flag)]
        threads = ["-pthread"] if self.builds("-pthread") else []
        for extension in self.extensions:
            extension.extra_compile_args += flags + threads
            extension.extra_link_args += threads
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def builds(self, flag: str) -> bool:
        """Whether a program can be compiled and linked with this flag."""
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "probe.c"
            probe.write_text("int main(void) { return 0; }\n")
            try:
                objects = self.compiler.compile([str(probe)], output_dir=folder, extra_postargs=[flag])
                self.compiler.link_executable(objects, str(Path(folder) / "probe"), extra_postargs=[flag])
            except Exception:
                return False
        return True


setup(ext_modules=kernels(), cmdclass={"build_ext": BuildKernels})
