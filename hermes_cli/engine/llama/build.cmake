# CMake reads this file after project(): hermes does not use llama.cpp's helper library for command-line programs.
set(LLAMA_BUILD_COMMON OFF)
