"""The graph of Pocket TTS: pure Python over the kernels, without files, threads or logging.

Arrays are float32, time first, channels last: [T, C]. Layers are called as functions. Attributes have the names of the official
checkpoints. `init_state()` makes the state of a stream, and each call takes it, so one model serves many streams. A sequence gives
the same bits whether it is processed at once or in several calls.
"""
