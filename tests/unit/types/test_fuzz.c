/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Bytes from anywhere: cut, flipped, or noise. Reading must return, with an
 * answer or a refusal. Seeds are fixed; MOLT_SEED and MOLT_ROUNDS change them,
 * and a failing round prints its seed.
 */
#include <elf.h>

#include "types/match.h"
#include "unit/types/fixture.h"

static const char module_c[] =
    "#include <molt/molt.h>\n#include <stdio.h>\n#include \"../o.h\"\n"
    "struct state { long n; struct msg *last; char name[20]; union { int i; void *p; }; };\n"
    "static int hits;\n"
    "static int on_msg(struct state *s, struct msg *m, struct molt_from *from)\n"
    "{ hits++; s->n += m->by; puts(s->name); return molt_reply(from, molt_new(struct msg)); }\n"
    "MOLT_SERVER(m, struct state, .on = { MOLT_CALL(struct msg, on_msg) });\n"
    "long m_f(struct msg *m, int (*cb)(struct msg *, ...)) { return cb(m, 1) + o_f(m); }\n";

static void build(struct fixture *f, const char *cc, const char *cflags)
{
    fixture_init(f, cc, cflags);
    compile_write(&f->c, "m.h",
                  "enum e { A, B }; struct msg { long by : 9; enum e e; struct msg *next; };\n"
                  "long m_f(struct msg *m, int (*cb)(struct msg *, ...));\n");
    compile_write(&f->c, "o.h", "#include \"m.h\"\nlong o_f(struct msg *m);\n");
    fixture_export(f, "o", "o.h", "o_f");
    fixture_export(f, "m", "m.h", "m_f");
    fixture_good(f, "m", module_c);
}

/* Read @len bytes at @bytes in an allocation of just that size, so that a
 * sanitizer sees every step outside. */
static int read_exactly(const uint8_t *bytes, size_t len)
{
    static const struct molt_image_options options = {.allow_sanitizer = true};
    struct molt_meta *meta = NULL;
    struct molt_error err = {0};
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    int rc = molt_image_read(copy, len, &options, &meta, &err);
    assert_true(rc == 0 || (rc < 0 && meta == NULL && err.text[0]));
    assert_memory_equal(copy, bytes, len);
    molt_meta_free(meta);
    free(copy);
    return rc;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static uint64_t number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : fallback;
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        build(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        for (size_t len = 0; len < f.len; len += 64)
            assert_int_equal(read_exactly(f.image, len), MOLT_EFORMAT);
        for (size_t len = 0; len < 200; len++)
            assert_int_equal(read_exactly(f.image, len), MOLT_EFORMAT);
        fixture_fini(&f);
    }
}

static void flipped_bytes_never_crash(void **state)
{
    (void)state;
    uint64_t rounds = number_from("MOLT_ROUNDS", 2000), first = number_from("MOLT_SEED", 1);
    uint64_t n_refused = 0;
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        build(&f, i ? "clang" : "gcc", "-O2");
        for (uint64_t round = first; round < first + rounds; round++) {
            uint64_t seed = round * UINT64_C(0x9e3779b97f4a7c15);
            uint8_t *copy = malloc(f.len);
            assert_non_null(copy);
            memcpy(copy, f.image, f.len);
            for (uint64_t n = 1 + next_random(&seed) % 8; n > 0; n--)
                copy[next_random(&seed) % f.len] = (uint8_t)next_random(&seed);
            n_refused += read_exactly(copy, f.len) < 0;
            free(copy);
        }
        fixture_fini(&f);
    }
    assert_true(n_refused > 0);
}

/* Flips in the tables alone: headers, dynamic tables, debug sections. */
static void flipped_tables_never_crash(void **state)
{
    (void)state;
    static const char *const names[] = {".debug_info", ".debug_abbrev", ".debug_line",
                                        ".dynamic",    ".dynsym",       ".rela.dyn",
                                        ".symtab",     ".gnu.hash",     ".debug_str_offsets",
                                        ".debug_addr", "molt_servers"};
    uint64_t rounds = number_from("MOLT_ROUNDS", 2000) / 8, first = number_from("MOLT_SEED", 1);
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        build(&f, i ? "clang" : "gcc", "-O0");
        Elf64_Ehdr *eh = (Elf64_Ehdr *)(void *)f.image;
        for (size_t s = 0; s < eh->e_shnum; s++) {
            Elf64_Shdr sh;
            memcpy(&sh, f.image + eh->e_shoff + s * sizeof sh, sizeof sh);
            Elf64_Shdr strings;
            memcpy(&strings, f.image + eh->e_shoff + eh->e_shstrndx * sizeof sh, sizeof sh);
            const char *name = (char *)f.image + strings.sh_offset + sh.sh_name;
            bool is_wanted = false;
            for (size_t k = 0; k < sizeof names / sizeof *names; k++)
                is_wanted |= strcmp(names[k], name) == 0;
            for (uint64_t round = first; is_wanted && sh.sh_size && round < first + rounds;
                 round++) {
                uint64_t seed = (round + s) * UINT64_C(0x9e3779b97f4a7c15);
                uint64_t at = sh.sh_offset + next_random(&seed) % sh.sh_size;
                uint8_t was = f.image[at];
                f.image[at] ^= (uint8_t)(1u << next_random(&seed) % 8);
                read_exactly(f.image, f.len);
                f.image[at] = was;
            }
        }
        for (size_t at = 0; at < sizeof *eh + eh->e_phnum * sizeof(Elf64_Phdr); at++) {
            uint8_t was = f.image[at];
            f.image[at] = (uint8_t)(was + 0x81);
            read_exactly(f.image, f.len);
            f.image[at] = was;
        }
        assert_int_equal(read_exactly(f.image, f.len), 0);
        fixture_fini(&f);
    }
}

static void noise_is_refused(void **state)
{
    (void)state;
    uint64_t seed = number_from("MOLT_SEED", 1) + 77;
    uint8_t bytes[4096];
    for (int i = 0; i < 500; i++) {
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)next_random(&seed);
        if (i & 1) { /* behind a proper beginning */
            memcpy(bytes, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\x3e\0\1\0\0\0", 24);
        }
        assert_true(read_exactly(bytes, (size_t)(next_random(&seed) % sizeof bytes)) < 0);
    }
}

static void probes_and_matches_survive_flips(void **state)
{
    (void)state;
    struct fixture f;
    build(&f, "clang", "-O0");
    size_t len;
    uint8_t *probe = compile_read(&f.c, "probe.o", &len);
    uint64_t seed = number_from("MOLT_SEED", 1) + 5;
    const char *name = "m_f";
    uint8_t *copy = malloc(f.len);
    assert_non_null(copy);
    memcpy(copy, f.image, f.len);
    struct molt_match_side sound = {copy, f.len};
    for (int i = 0; i < 1000; i++) {
        uint64_t sig, at = next_random(&seed) % len, there = next_random(&seed) % f.len;
        uint8_t was = probe[at], had = f.image[there];
        struct molt_match match = {0};
        probe[at] = (uint8_t)next_random(&seed);
        molt_image_probe(probe, len, f.c.dir, 1, &name, &sig, NULL);
        probe[at] = was;
        f.image[there] = (uint8_t)next_random(&seed);
        struct molt_match_side now = {f.image, f.len};
        molt_match_images(i & 1 ? &sound : &now, i & 1 ? &now : &sound, NULL, &match, NULL);
        f.image[there] = had;
        molt_match_fini(&match);
    }
    free(probe);
    free(copy);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(flipped_bytes_never_crash),
        cmocka_unit_test(flipped_tables_never_crash),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(probes_and_matches_survive_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
