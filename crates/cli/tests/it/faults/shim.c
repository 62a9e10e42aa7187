/* Stands between the server and the C library (LD_PRELOAD): takes notes of all that is done to the files under one folder, so that a
 * power cut can be played afterwards, and brings faults that a machine rarely has. `shim.rs` compiles it, sets it up and reads the notes.
 *
 * SHIM_ROOT   the folder, absolute and without symbolic links
 * SHIM_NOTES  where the notes go: a file outside of it
 * SHIM_FAULT  CALL,ERRNO,SKIP,TIMES,PART[;…]: of the calls of `fsync`, `write`, `open` or `accept` on paths that hold PART (accept: any),
 *             after SKIP that pass, TIMES fail
 * SHIM_ARMED  a file: the faults begin once it is there
 * SHIM_LIES   PART: an fsync of a path that holds it is told as done and is not
 * SHIM_SHORT  every N-th write to a file takes half only
 * SHIM_EINTR  every N-th write, fsync and open is interrupted before it does anything
 * SHIM_SLOW   MIN,MAX: each fsync takes so many milliseconds more
 * SHIM_CLOCK  a file with `+SECONDS` (the time of day is off by so much) or `=SECONDS` (it stands still); read at every call
 *
 * A note: one byte that says what, three numbers of 64 bits, two lengths of 32 bits, and so many bytes of each text.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 8
#define FILES_MAX 65536
#define PATH_BYTES 4096

struct fault {
    char call[16];
    int error;
    long skip, times;
    char part[256];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_BYTES];
static size_t root_length;
static int notes = -1;
static struct fault faults[FAULTS_MAX];
static int faults_count;
static long short_every, eintr_every, slow_min, slow_max;
static long writes, calls;
static unsigned long random_state = 88172645463325252UL;
static const char *clock_path, *armed_path, *lies;
/* The numbers of the files that the notes know, in no order; 0 is none. */
static uint64_t known[FILES_MAX];

static unsigned long draw(unsigned long below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static void note(char what, uint64_t a, uint64_t b, uint64_t c, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    uint32_t lengths[2] = {(uint32_t)first_bytes, (uint32_t)second_bytes};
    uint64_t numbers[3] = {a, b, c};
    struct iovec parts[5] = {{&what, 1}, {numbers, sizeof numbers}, {lengths, sizeof lengths}, {(void *)first, first_bytes}, {(void *)second, second_bytes}};
    if (notes < 0) return;
    size_t all = 1 + sizeof numbers + sizeof lengths + first_bytes + second_bytes;
    if (syscall(SYS_writev, notes, parts, 5) != (long)all) _exit(99); /* Notes that are not whole prove nothing. */
}

static void note_text(char what, const char *first, const char *second) {
    note(what, 0, 0, 0, first, strlen(first), second, second ? strlen(second) : 0);
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("SHIM_ROOT");
    if (!text) return;
    snprintf(root, sizeof root, "%s/", text);
    root_length = strlen(root);
    if ((text = getenv("SHIM_NOTES"))) {
        int low = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        notes = (int)syscall(SYS_fcntl, low, F_DUPFD_CLOEXEC, 1000);
        syscall(SYS_close, low);
    }
    if ((text = getenv("SHIM_FAULT"))) {
        for (const char *at = text; at && *at && faults_count < FAULTS_MAX; at = strchr(at, ';'), at = at ? at + 1 : 0) {
            struct fault *fault = &faults[faults_count];
            if (sscanf(at, "%15[^,],%d,%ld,%ld,%255[^;]", fault->call, &fault->error, &fault->skip, &fault->times, fault->part) >= 4) faults_count++;
        }
    }
    if ((text = getenv("SHIM_SHORT"))) short_every = atol(text);
    if ((text = getenv("SHIM_EINTR"))) eintr_every = atol(text);
    if ((text = getenv("SHIM_SLOW"))) sscanf(text, "%ld,%ld", &slow_min, &slow_max);
    if ((text = getenv("SHIM_SEED"))) random_state ^= strtoul(text, 0, 10) * 0x9E3779B97F4A7C15UL;
    clock_path = getenv("SHIM_CLOCK");
    armed_path = getenv("SHIM_ARMED");
    lies = getenv("SHIM_LIES");
}

/* The path as the notes have it, if it lies under the root. */
static const char *inside(int folder, const char *path, char *out) {
    if (!root_length || !path) return 0;
    if (path[0] != '/') {
        char link[64];
        if (folder == AT_FDCWD) {
            if (!getcwd(out, PATH_BYTES / 2)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, out, PATH_BYTES / 2);
            if (length < 0) return 0;
            out[length] = 0;
        }
        size_t length = strlen(out);
        snprintf(out + length, PATH_BYTES - length, "/%s", path);
    } else {
        snprintf(out, PATH_BYTES, "%s", path);
    }
    if (!strncmp(out, root, root_length)) return out + root_length;
    return strlen(out) == root_length - 1 && !strncmp(out, root, root_length - 1) ? "" : 0;
}

static const char *path_of(int file, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, out, PATH_BYTES - 1);
    if (length < 0) return 0;
    out[length] = 0;
    if (!strncmp(out, root, root_length)) return out + root_length;
    return strlen(out) == root_length - 1 && !strncmp(out, root, root_length - 1) ? "" : 0;
}

static int is_known(uint64_t number, int add) {
    for (size_t at = number % FILES_MAX, tries = 0; tries < FILES_MAX; at = (at + 1) % FILES_MAX, tries++) {
        if (known[at] == number) return 1;
        if (!known[at]) {
            if (add) known[at] = number;
            return 0;
        }
    }
    _exit(98);
}

/* The number of a file that the notes know, or 0. */
static uint64_t number_of(int file, mode_t *mode) {
    struct stat data;
    if (!root_length || fstat(file, &data)) return 0;
    *mode = data.st_mode;
    if (S_ISDIR(data.st_mode)) return data.st_ino;
    return S_ISREG(data.st_mode) && is_known(data.st_ino, 0) ? data.st_ino : 0;
}

/* Whether a call fails now. Under the lock. */
static int fails(const char *call, const char *path) {
    if (faults_count && armed_path && syscall(SYS_faccessat, AT_FDCWD, armed_path, F_OK)) return 0;
    for (int i = 0; i < faults_count; i++) {
        struct fault *fault = &faults[i];
        if (strcmp(fault->call, call) || (fault->part[0] && !(path && strstr(path, fault->part)))) continue;
        if (fault->skip-- > 0) continue;
        if (fault->times-- <= 0) continue;
        char text[PATH_BYTES + 64];
        snprintf(text, sizeof text, "%s %d", call, fault->error);
        note_text('!', text, path);
        errno = fault->error;
        return 1;
    }
    return 0;
}

static int interrupts(const char *call) {
    if (!eintr_every || ++calls % eintr_every) return 0;
    note_text('!', call, "interrupted");
    errno = EINTR;
    return 1;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char buffer[PATH_BYTES];
    const char *name = inside(folder, path, buffer);
    if (!name) return (int)syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int file = -1;
    struct stat before, data;
    int was_there = !fstatat(folder, path, &before, AT_SYMLINK_NOFOLLOW);
    if (!fails("open", name) && !interrupts("open")) file = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (file >= 0 && !fstat(file, &data) && S_ISREG(data.st_mode)) {
        if (!was_there) {
            is_known(data.st_ino, 1);
            note('C', data.st_ino, 0, 0, name, strlen(name), 0, 0);
        } else if (!is_known(data.st_ino, 1)) {
            note('O', data.st_ino, 0, 0, name, strlen(name), 0, 0);
        }
        if (was_there && flags & O_TRUNC && before.st_size) note('T', data.st_ino, 0, 0, 0, 0, 0, 0);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return file;
}

#define OPEN(NAME, FOLDER, ...)                                 \
    int NAME(__VA_ARGS__, const char *path, int flags, ...) {   \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                           \
        return opened(FOLDER, path, flags, mode);               \
    }
OPEN(openat, folder, int folder)
OPEN(openat64, folder, int folder)

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened(AT_FDCWD, path, flags, mode);
}

static ssize_t wrote(int file, const void *bytes, size_t count, off64_t at, int has_place) {
    mode_t mode;
    uint64_t number = file == notes ? 0 : number_of(file, &mode);
    if (!number) return has_place ? syscall(SYS_pwrite64, file, bytes, count, at) : syscall(SYS_write, file, bytes, count);
    char buffer[PATH_BYTES];
    pthread_mutex_lock(&lock);
    ssize_t done = -1;
    if (!fails("write", path_of(file, buffer)) && !interrupts("write")) {
        if (short_every && count > 1 && ++writes % short_every == 0) {
            count /= 2;
            note_text('!', "write", "short");
        }
        done = has_place ? syscall(SYS_pwrite64, file, bytes, count, at) : syscall(SYS_write, file, bytes, count);
    }
    int error = errno;
    if (done > 0) {
        if (!has_place) at = lseek(file, 0, SEEK_CUR) - done;
        const char *text = bytes;
        int is_zero = !text[0] && !memcmp(text, text + 1, (size_t)done - 1);
        note(is_zero ? 'Z' : 'W', number, (uint64_t)at, (uint64_t)done, text, is_zero ? 0 : (size_t)done, 0, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int file, const void *bytes, size_t count) { return wrote(file, bytes, count, 0, 0); }
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { return wrote(file, bytes, count, at, 1); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) { return wrote(file, bytes, count, at, 1); }

static int synced(int file, long call) {
    char buffer[PATH_BYTES];
    mode_t mode = 0;
    uint64_t number = number_of(file, &mode);
    const char *path = number ? path_of(file, buffer) : 0;
    if (!path) return (int)syscall(call, file);
    if (lies && strstr(path, lies)) {
        note_text('!', "fsync", "lies");
        return 0;
    }
    static uint64_t tokens;
    pthread_mutex_lock(&lock);
    if (interrupts("fsync")) {
        pthread_mutex_unlock(&lock);
        errno = EINTR;
        return -1;
    }
    uint64_t token = ++tokens;
    int is_folder = S_ISDIR(mode);
    note('B', number, token, (uint64_t)is_folder, path, is_folder ? strlen(path) : 0, 0, 0);
    int failed = fails("fsync", path), error = errno;
    unsigned long slow = slow_max ? (unsigned long)slow_min + draw((unsigned long)(slow_max - slow_min + 1)) : 0;
    if (slow) note_text('!', "fsync", "slow");
    pthread_mutex_unlock(&lock);
    if (slow) usleep((useconds_t)(slow * 1000));
    int done = failed ? -1 : (int)syscall(call, file);
    pthread_mutex_lock(&lock);
    note(done ? 'F' : 'E', number, token, 0, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    if (failed) errno = error;
    return done;
}

int fsync(int file) { return synced(file, SYS_fsync); }
int fdatasync(int file) { return synced(file, SYS_fdatasync); }

static int cut(int file, off64_t length) {
    mode_t mode;
    pthread_mutex_lock(&lock);
    uint64_t number = number_of(file, &mode);
    int done = (int)syscall(SYS_ftruncate, file, length), error = errno;
    if (number && !done) note('T', number, (uint64_t)length, 0, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int ftruncate(int file, off_t length) { return cut(file, length); }
int ftruncate64(int file, off64_t length) { return cut(file, length); }

/* A change of names: what, the call, and the paths under the root. */
#define NAMES(WHAT, CALL, FROM_FOLDER, FROM, TO_FOLDER, TO)                         \
    char from_buffer[PATH_BYTES], to_buffer[PATH_BYTES];                            \
    const char *first = inside(FROM_FOLDER, FROM, from_buffer);                     \
    const char *second = inside(TO_FOLDER, TO, to_buffer);                          \
    pthread_mutex_lock(&lock);                                                      \
    int done = (int)(CALL), error = errno;                                          \
    if (!done && (first || second)) note_text(WHAT, first ? first : "", second);    \
    pthread_mutex_unlock(&lock);                                                    \
    errno = error;                                                                  \
    return done;

#define NO_PATH ((const char *)0)
int rename(const char *from, const char *to) { NAMES('R', syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0), AT_FDCWD, from, AT_FDCWD, to) }
int renameat(int a, const char *from, int b, const char *to) { NAMES('R', syscall(SYS_renameat2, a, from, b, to, 0), a, from, b, to) }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { NAMES('R', syscall(SYS_renameat2, a, from, b, to, flags), a, from, b, to) }
int link(const char *from, const char *to) { NAMES('L', syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0), AT_FDCWD, from, AT_FDCWD, to) }
int linkat(int a, const char *from, int b, const char *to, int flags) { NAMES('L', syscall(SYS_linkat, a, from, b, to, flags), a, from, b, to) }
int unlink(const char *path) { NAMES('U', syscall(SYS_unlinkat, AT_FDCWD, path, 0), AT_FDCWD, path, 0, NO_PATH) }
int unlinkat(int folder, const char *path, int flags) { NAMES('U', syscall(SYS_unlinkat, folder, path, flags), folder, path, 0, NO_PATH) }
int rmdir(const char *path) { NAMES('U', syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR), AT_FDCWD, path, 0, NO_PATH) }
int mkdir(const char *path, mode_t mode) { NAMES('M', syscall(SYS_mkdirat, AT_FDCWD, path, mode), AT_FDCWD, path, 0, NO_PATH) }
int mkdirat(int folder, const char *path, mode_t mode) { NAMES('M', syscall(SYS_mkdirat, folder, path, mode), folder, path, 0, NO_PATH) }

int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags) {
    pthread_mutex_lock(&lock);
    int failed = root_length && fails("accept", 0), error = errno;
    pthread_mutex_unlock(&lock);
    if (failed) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_accept4, socket, address, length, flags);
}

int clock_gettime(clockid_t which, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(which, out);
    if (!clock_path || which != CLOCK_REALTIME || done) return done;
    char text[64] = "";
    int file = (int)syscall(SYS_openat, AT_FDCWD, clock_path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return done;
    if (syscall(SYS_read, file, text, sizeof text - 1) > 0) {
        static int is_noted;
        if (!__sync_lock_test_and_set(&is_noted, 1)) note_text('!', "clock", text);
        if (text[0] == '=') {
            out->tv_sec = atol(text + 1);
            out->tv_nsec = 0;
        } else {
            out->tv_sec += atol(text);
        }
    }
    syscall(SYS_close, file);
    return done;
}

/* Calls that would pass the notes by: the server makes none of them on its files, and a test fails when it begins to. */
#define UNSEEN(RESULT, NAME, FILE, CALL, ...)                       \
    RESULT NAME(__VA_ARGS__) {                                      \
        mode_t mode;                                                \
        if (root_length && FILE >= 0 && FILE != notes && number_of(FILE, &mode) && S_ISREG(mode)) note_text('?', #NAME, 0); \
        return (RESULT)(CALL);                                      \
    }
UNSEEN(ssize_t, writev, file, syscall(SYS_writev, file, parts, count), int file, const struct iovec *parts, int count)
UNSEEN(ssize_t, pwritev, file, syscall(SYS_pwritev, file, parts, count, at, 0), int file, const struct iovec *parts, int count, off_t at)
UNSEEN(ssize_t, pwritev64, file, syscall(SYS_pwritev, file, parts, count, at, 0), int file, const struct iovec *parts, int count, off64_t at)
UNSEEN(ssize_t, sendfile64, to, syscall(SYS_sendfile, to, from, at, count), int to, int from, off64_t *at, size_t count)
UNSEEN(ssize_t, copy_file_range, to, syscall(SYS_copy_file_range, from, from_at, to, to_at, count, flags), int from, off64_t *from_at, int to, off64_t *to_at, size_t count, unsigned flags)
UNSEEN(int, fallocate64, file, syscall(SYS_fallocate, file, mode_of, at, count), int file, int mode_of, off64_t at, off64_t count)
UNSEEN(int, posix_fallocate64, file, syscall(SYS_fallocate, file, 0, at, count), int file, off64_t at, off64_t count)
UNSEEN(int, sync_file_range, file, syscall(SYS_sync_file_range, file, at, count, flags), int file, off64_t at, off64_t count, unsigned flags)

void *mmap64(void *at, size_t count, int protection, int flags, int file, off64_t offset) {
    mode_t mode;
    if (root_length && file >= 0 && flags & MAP_SHARED && protection & PROT_WRITE && number_of(file, &mode)) note_text('?', "mmap64", 0);
    return (void *)syscall(SYS_mmap, at, count, protection, flags, file, offset);
}
