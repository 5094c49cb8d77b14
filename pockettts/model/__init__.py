"""The graph of Pocket TTS: pure Python over the kernels, without files, threads or logging.

Arrays are float32, time first, channels last: [T, C]. Layers are called as functions; attributes are named as in the official
checkpoints. What a stream remembers is made by `init_state()` and passed in, so one model serves many streams; feeding a
sequence in pieces gives what feeding it at once gives.
"""
