"""Build the kernels: `pockettts/_ops.pyx`, once for each instruction set of this architecture. `ops.py` picks one at import."""

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Instruction set (see ops.py) -> compiler flags. "base" runs on every supported CPU of the architecture.
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"]
X86 = {
    "base": ["-msse4.2"],
    "avx2": ["-mavx2", "-mfma"],
    "avxvnni": ["-mavx2", "-mfma", "-mavxvnni"],
    "avx512": AVX512,
    "avx512vnni": [*AVX512, "-mavx512vnni"],
    "avx512amx": [*AVX512, "-mavx512vnni", "-mamx-tile", "-mamx-int8"],
}
ARM = {"base": [], "dotprod": ["-march=armv8.2-a+dotprod"], "i8mm": ["-march=armv8.2-a+dotprod+i8mm"]}
MACHINES = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}
# The order of operations is fixed (see kernels/gemm.h): only those fast-math flags that change no result.
FLAGS = ["-O2", "-fno-math-errno", "-fno-trapping-math", "-g0", "-w"]
GCC_FLAGS = ["-ftree-vectorize", "-fvect-cost-model=dynamic"]  # Clang vectorizes by default
HERE = Path(__file__).parent
# Flags for OpenMP, to compile and to link; the first pair that works is used. Apple's Clang needs `brew install libomp`.
APPLE = ["-Xpreprocessor", "-fopenmp"]
OPENMP = [
    (["-fopenmp"], ["-fopenmp"]),
    (APPLE, ["-lomp"]),
    *(
        ([*APPLE, f"-I{folder}/include"], [f"-L{folder}/lib", f"-Wl,-rpath,{folder}/lib", "-lomp"])
        for folder in ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp")
        if Path(folder).is_dir()
    ),
]
PROBE = "int main(void) { return 0; }\n"
OPENMP_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
GENERATED = HERE / "build" / "kernels"


def machine() -> str:
    """The target architecture: this machine's, unless a cross build sets another one (_PYTHON_HOST_PLATFORM)."""
    target = sysconfig.get_platform().rpartition("-")[2].lower()
    return platform.machine().lower() if target == "universal2" else target


def kernels() -> list[Extension]:
    """One extension for each build: the same source under another name. All but "base" are optional: the compiler may be too old."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    extensions = []
    for isa, flags in MACHINES.get(machine(), {"base": []}).items():
        suffix = "" if isa == "base" else f"_{isa}"
        source = GENERATED / f"_ops{suffix}.pyx"
        shutil.copyfile(HERE / "pockettts" / "_ops.pyx", source)
        extensions.append(
            Extension(
                f"pockettts._ops{suffix}",
                [os.path.relpath(source, HERE)],
                include_dirs=["pockettts"],
                depends=[
                    os.path.relpath(header, HERE) for header in sorted((HERE / "pockettts" / "kernels").glob("*.h"))
                ],
                extra_compile_args=FLAGS + flags,
                optional=isa != "base",
            )
        )
    return cythonize(extensions, nthreads=0, quiet=True)


class BuildKernels(build_ext):
    """Adds flags that not every compiler supports: GCC's own, and OpenMP (without it the kernels use one thread)."""

    def build_extensions(self) -> None:
        flags = [flag for flag in GCC_FLAGS if self.builds(PROBE, [flag], [])]
        compile_openmp, link_openmp = next((pair for pair in OPENMP if self.builds(OPENMP_PROBE, *pair)), ([], []))
        if not link_openmp:
            print(
                "pockettts: this compiler has no OpenMP: the kernels will use one thread (macOS: brew install libomp)",
                file=sys.stderr,
            )
        for extension in self.extensions:
            extension.extra_compile_args += flags + compile_openmp
            extension.extra_link_args += link_openmp
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def builds(self, program: str, compile_flags: list[str], link_flags: list[str]) -> bool:
        """Whether the compiler can build a program with these flags."""
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "probe.c"
            probe.write_text(program)
            try:
                objects = self.compiler.compile([str(probe)], output_dir=folder, extra_postargs=compile_flags)
                self.compiler.link_executable(objects, str(Path(folder) / "probe"), extra_postargs=link_flags)
            except Exception:
                return False
        return True


setup(ext_modules=kernels(), cmdclass={"build_ext": BuildKernels})
