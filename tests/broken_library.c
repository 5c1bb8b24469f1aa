/* A libllama.so in front of the real one: everything goes through to it except what is broken on purpose.
 *
 * PARAMS_BYTES and EXTRA_AT are the size of llama_model_params and the place of use_extra_bufts in it, as the installed
 * bindings have them. HERMES_TEST_LOADS may name a file that gets one byte for each model loaded with its weights;
 * HERMES_TEST_ABORT is what an abort says.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

struct params {
    _Alignas(8) unsigned char bytes[PARAMS_BYTES];
};
struct batch {
    _Alignas(8) unsigned char bytes[BATCH_BYTES];
};

static int extra = 0;

static void note_load(void) {
    const char *path = getenv("HERMES_TEST_LOADS");
    if (path) {
        int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
        if (file >= 0 && write(file, "x", 1) == 1) close(file);
    }
}

void *llama_model_load_from_file(const char *path, struct params params) {
    extra = params.bytes[EXTRA_AT];
    note_load();
#ifdef CRASHES_ALWAYS
    raise(SIGSEGV);
#endif
#ifdef CRASHES_WHEN_FAST
    if (extra) raise(SIGSEGV);
#endif
#ifdef ILLEGAL_WHEN_FAST
    if (extra) raise(SIGILL);
#endif
#ifdef ABORTS_WHEN_FAST
    void (*stop)(const char *, int, const char *, ...) = dlsym(RTLD_NEXT, "ggml_abort");
    if (extra) stop("a.c", 1, getenv("HERMES_TEST_ABORT"));
#endif
#ifdef HANGS_WHEN_FAST
    while (extra) pause();
#endif
    void *(*real)(const char *, struct params) = dlsym(RTLD_NEXT, "llama_model_load_from_file");
    return real(path, params);
}

int32_t llama_sampler_sample(void *sampler, void *context, int32_t index) {
    int32_t (*real)(void *, void *, int32_t) = dlsym(RTLD_NEXT, "llama_sampler_sample");
#ifdef WRONG_WHEN_FAST
    if (extra) return 0;
#endif
    return real(sampler, context, index);
}

int32_t llama_decode(void *context, struct batch batch) {
    int32_t (*real)(void *, struct batch) = dlsym(RTLD_NEXT, "llama_decode");
    int32_t code = real(context, batch);
#ifdef DECODE_FAILS_AT
    static int calls = 0;
    if (++calls == DECODE_FAILS_AT) return -3;
#endif
    return code;
}
