"""Builds the kernels: `pockettts/_ops.pyx`, once for every instruction set of this architecture (`ops.py` picks one at import)."""
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Module suffix -> compiler flags. The plain build runs on every CPU of the architecture that we support.
X86 = {
    "": ["-msse4.2"],
    "_avx2": ["-mavx2", "-mfma"],
    "_avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
}
BUILDS = X86 if platform.machine().lower() in ("x86_64", "amd64") else {"": []}
# Strict arithmetic (see _tile.h): of the fast-math family only what changes no result.
FLAGS = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-fno-math-errno", "-fno-trapping-math", "-g0", "-w"]
HERE = Path(__file__).parent
GENERATED = HERE / "build" / "kernels"


def kernels() -> list[Extension]:
    """One extension for each build: the same source under another name."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    extensions = []
    for suffix, flags in BUILDS.items():
        source = GENERATED / f"_ops{suffix}.pyx"
        shutil.copyfile(HERE / "pockettts" / "_ops.pyx", source)
        extensions.append(Extension(
            f"pockettts._ops{suffix}", [os.path.relpath(source, HERE)], include_dirs=["pockettts"],
            depends=["pockettts/_tile.h"], extra_compile_args=FLAGS + flags))
    return cythonize(extensions, nthreads=0, quiet=True)


class BuildKernels(build_ext):
    """Adds OpenMP where the compiler has it; without it the kernels run on one thread."""

    def build_extensions(self) -> None:
        openmp = self.openmp_flags()
        for extension in self.extensions:
            extension.extra_compile_args += openmp
            extension.extra_link_args += openmp
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def openmp_flags(self) -> list[str]:
        if os.environ.get("POCKETTTS_NO_OPENMP"):
            return []
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "probe.c"
            probe.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(probe)], output_dir=folder, extra_postargs=["-fopenmp"])
                self.compiler.link_executable(objects, str(Path(folder) / "probe"), extra_postargs=["-fopenmp"])
            except Exception as error:
                print(f"no OpenMP here ({error}): the kernels will run on one thread", file=sys.stderr)
                return []
        return ["-fopenmp"]


setup(ext_modules=kernels(), cmdclass={"build_ext": BuildKernels})
