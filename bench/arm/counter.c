/* Counts executed instructions for qemu-user: `qemu-aarch64 -plugin libcounter.so,out=FILE`.

   A program marks a place by the system call 9999, which no kernel has: from the first mark on, what was executed since
   the last one is written to FILE: a line "mark INSTRUCTIONS", then a line "ADDRESS EXECUTIONS SIZE HEX" for each of
   the blocks that were executed most. Blocks are counted as they are translated, straight lines of instructions.

   The declarations below are those of qemu's plugin API that are used here; Debian's qemu-user has no header.
   https://www.qemu.org/docs/master/devel/tcg-plugins.html */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, uint64_t));

int qemu_plugin_version = 1;

#define MARK 9999
#define ADD_U64 0
#define WRITTEN 400

typedef struct block {
    uint64_t address, executions;
    size_t count;
    uint32_t *words;
    struct block *next;
} block;

#define BUCKETS 65536
static block *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *out;

static block *of(const struct qemu_plugin_tb *tb) {
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    size_t count = qemu_plugin_tb_n_insns(tb);
    block **place = &buckets[(address >> 2) % BUCKETS];
    for (block *one = *place; one; one = one->next)
        if (one->address == address && one->count == count) return one;
    block *made = calloc(1, sizeof *made);
    made->address = address;
    made->count = count;
    made->words = malloc(4 * count);
    for (size_t i = 0; i < count; i++)
        memcpy(&made->words[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), 4);
    made->next = *place;
    return *place = made;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    pthread_mutex_lock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &of(tb)->executions, 1);
    pthread_mutex_unlock(&lock);
}

static int more_instructions(const void *a, const void *b) {
    const block *one = *(block *const *)a, *other = *(block *const *)b;
    uint64_t x = one->executions * one->count, y = other->executions * other->count;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void mark(void) {
    static block *all[1 << 21];
    size_t found = 0;
    uint64_t instructions = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        for (block *one = buckets[i]; one; one = one->next)
            if (one->executions && found < sizeof all / sizeof *all) {
                all[found++] = one;
                instructions += one->executions * one->count;
            }
    fprintf(out, "mark %llu\n", (unsigned long long)instructions);
    qsort(all, found, sizeof *all, more_instructions);
    for (size_t i = 0; i < found; i++) {
        if (i < WRITTEN) {
            fprintf(out, "%llx %llu %zu ", (unsigned long long)all[i]->address,
                    (unsigned long long)all[i]->executions, all[i]->count);
            for (size_t j = 0; j < all[i]->count; j++) fprintf(out, "%08x", all[i]->words[j]);
            fputc('\n', out);
        }
        all[i]->executions = 0;
    }
    fflush(out);
}

static void called(qemu_plugin_id_t id, unsigned int cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != MARK) return;
    pthread_mutex_lock(&lock);
    mark();
    pthread_mutex_unlock(&lock);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
    if (!out) {
        fprintf(stderr, "counter: out=FILE is needed\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
