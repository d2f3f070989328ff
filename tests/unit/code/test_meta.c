/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "code/meta.h"

#define FLIPS 20000

static void *copied(const void *from, size_t size)
{
    void *to = malloc(size);
    assert_non_null(to);
    return memcpy(to, from, size);
}

#define COPIED(type, ...) copied((type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__}))

static void fill_types(struct molt_meta *meta)
{
    meta->n_types = 2;
    meta->types = COPIED(struct molt_meta_type,
                         {.key = strdup("a.h:struct s"),
                          .name = strdup("struct s"),
                          .hash = 11,
                          .shape = 12,
                          .size = 40,
                          .is_from_header = true},
                         {.key = strdup("a/a.c:struct t"),
                          .name = strdup("struct t"),
                          .hash = 13,
                          .shape = 14,
                          .size = 8});
    meta->types[0].n_ptrs = 2;
    meta->types[0].ptrs = COPIED(struct molt_meta_ptr, {0, 2, MOLT_PTR_DATA, strdup("s.next")},
                                 {32, 1, MOLT_PTR_CODE, strdup("s.fn")});
    meta->types[1].flex_at = 4;
    meta->types[1].flex_size = 24;
    meta->types[1].n_flex_ptrs = 1;
    meta->types[1].flex_ptrs =
        COPIED(struct molt_meta_ptr, {8, 2, MOLT_PTR_ANY, strdup("t.list[].any")});
}

/* A description with every member in use. */
static struct molt_meta *full_meta(void)
{
    struct molt_meta *meta = molt_meta_new();
    assert_non_null(meta);
    meta->module = strdup("a");
    memset(meta->digest, 0xd1, sizeof meta->digest);
    memset(meta->build_id, 0xb1, 20);
    meta->build_id_len = 20;
    meta->content = UINT64_C(0xc0ffee00c0ffee00);
    meta->flags = MOLT_META_SANITIZED;
    meta->n_exports = 2;
    meta->exports = COPIED(struct molt_meta_symbol, {strdup("a"), strdup("f"), 1, 48},
                           {strdup("a"), strdup("g"), UINT64_MAX, 0});
    meta->n_imports = 1;
    meta->imports = COPIED(struct molt_meta_symbol, {strdup("b"), strdup("h"), 3, 0});
    meta->n_headers = 1;
    meta->headers = COPIED(struct molt_meta_header, {strdup("b"), {7, 8, 9}});
    fill_types(meta);
    meta->n_tags = 2;
    meta->tags = COPIED(uint32_t, 1, MOLT_TYPE_NONE);
    meta->n_servers = 1;
    meta->servers =
        COPIED(struct molt_meta_server, {strdup("srv"), 0, MOLT_TYPE_NONE, 2,
                                         COPIED(uint32_t, 1, 0), 1, COPIED(uint32_t, 1)});
    meta->n_pins = 1;
    meta->pins = COPIED(char *, strdup("pthread_create"));
    meta->n_globals = 1;
    meta->globals = COPIED(struct molt_meta_global,
                           {strdup("src/m.c:total"), strdup("long"), 4096, 8, strdup("why")});
    return meta;
}

static struct molt_buf full_bytes(void)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_meta *meta = full_meta();
    assert_int_equal(molt_meta_encode(meta, &bytes), 0);
    molt_meta_free(meta);
    return bytes;
}

/* Decodes from memory that ends where the bytes end, so that a sanitizer sees
 * every read past them. */
static int decode(const void *bytes, size_t len, struct molt_meta **ret, struct molt_error *err)
{
    void *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    int rc = molt_meta_decode(exact, len, ret, err);
    free(exact);
    return rc;
}

static void what_was_encoded_is_decoded(void **state)
{
    struct molt_buf bytes = full_bytes();
    struct molt_meta *meta;
    (void)state;
    assert_int_equal(decode(bytes.data, bytes.len, &meta, NULL), 0);
    assert_string_equal(meta->module, "a");
    assert_int_equal(meta->build_id_len, 20);
    assert_int_equal(meta->build_id[19], 0xb1);
    assert_true(meta->content == UINT64_C(0xc0ffee00c0ffee00));
    assert_int_equal(meta->flags, MOLT_META_SANITIZED);
    assert_int_equal(meta->n_exports, 2);
    assert_string_equal(meta->exports[1].name, "g");
    assert_true(meta->exports[1].sig == UINT64_MAX);
    assert_int_equal(meta->exports[0].ret_bytes, 48);
    assert_string_equal(meta->imports[0].module, "b");
    assert_int_equal(meta->headers[0].digest[2], 9);
    assert_int_equal(meta->n_types, 2);
    assert_string_equal(meta->types[0].key, "a.h:struct s");
    assert_true(meta->types[0].is_from_header);
    assert_false(meta->types[1].is_from_header);
    assert_int_equal(meta->types[0].ptrs[0].count, 2);
    assert_int_equal(meta->types[0].ptrs[1].kind, MOLT_PTR_CODE);
    assert_string_equal(meta->types[0].ptrs[1].field, "s.fn");
    assert_int_equal(meta->types[1].flex_at, 4);
    assert_int_equal(meta->types[1].flex_size, 24);
    assert_int_equal(meta->types[1].flex_ptrs[0].kind, MOLT_PTR_ANY);
    assert_string_equal(meta->types[1].flex_ptrs[0].field, "t.list[].any");
    assert_int_equal(meta->tags[1], MOLT_TYPE_NONE);
    assert_int_equal(meta->servers[0].handler_types[0], 1);
    assert_int_equal(meta->servers[0].change_types[0], 1);
    assert_string_equal(meta->pins[0], "pthread_create");
    assert_string_equal(meta->globals[0].name, "src/m.c:total");
    assert_string_equal(meta->globals[0].type, "long");
    assert_int_equal(meta->globals[0].at, 4096);
    assert_int_equal(meta->globals[0].bytes, 8);
    assert_string_equal(meta->globals[0].obstacle, "why");
    molt_meta_free(meta);
    molt_buf_fini(&bytes);
}

static void encoding_what_was_decoded_gives_the_same_bytes(void **state)
{
    struct molt_buf bytes = full_bytes(), again = MOLT_BUF_INIT;
    struct molt_meta *meta;
    (void)state;
    assert_int_equal(decode(bytes.data, bytes.len, &meta, NULL), 0);
    assert_int_equal(molt_meta_encode(meta, &again), 0);
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.data, bytes.data, bytes.len);
    molt_meta_free(meta);
    molt_buf_fini(&again);
    molt_buf_fini(&bytes);
}

static void bytes_that_end_anywhere_too_early_are_refused(void **state)
{
    struct molt_buf bytes = full_bytes();
    (void)state;
    for (size_t len = 0; len < bytes.len; len++) {
        struct molt_meta *meta;
        struct molt_error err = {0};
        assert_int_equal(decode(bytes.data, len, &meta, &err), MOLT_EFORMAT);
        assert_true(err.text[0] != '\0');
    }
    molt_buf_fini(&bytes);
}

static void bytes_that_go_on_after_the_end_are_refused(void **state)
{
    struct molt_buf bytes = full_bytes();
    struct molt_meta *meta;
    (void)state;
    molt_buf_u8(&bytes, 0);
    assert_int_equal(decode(bytes.data, bytes.len, &meta, NULL), MOLT_EFORMAT);
    molt_buf_fini(&bytes);
}

static uint64_t next_random(uint64_t *seed) /* xorshift64 */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Every index of a decoded description leads somewhere. */
static void assert_consistent(const struct molt_meta *meta)
{
    assert_non_null(meta->module);
    assert_true(meta->build_id_len <= MOLT_BUILD_ID_MAX);
    for (size_t i = 0; i < meta->n_tags; i++)
        assert_true(meta->tags[i] == MOLT_TYPE_NONE || meta->tags[i] < meta->n_types);
    for (size_t i = 0; i < meta->n_servers; i++) {
        assert_non_null(meta->servers[i].name);
        assert_true(meta->servers[i].state_type < meta->n_types);
        for (size_t j = 0; j < meta->servers[i].n_handlers; j++)
            assert_true(meta->servers[i].handler_types[j] < meta->n_types);
    }
    for (size_t i = 0; i < meta->n_types; i++)
        for (size_t j = 0; j < meta->types[i].n_ptrs; j++) {
            const struct molt_meta_ptr *p = &meta->types[i].ptrs[j];
            assert_non_null(p->field);
            assert_true((uint64_t)p->offset + 8 * (uint64_t)p->count <= meta->types[i].size);
        }
    for (size_t i = 0; i < meta->n_types; i++)
        for (size_t j = 0; j < meta->types[i].n_flex_ptrs; j++) {
            const struct molt_meta_ptr *p = &meta->types[i].flex_ptrs[j];
            assert_true((uint64_t)p->offset + 8 * (uint64_t)p->count <= meta->types[i].flex_size);
        }
}

static void random_damage_is_refused_or_gives_a_consistent_description(void **state)
{
    struct molt_buf bytes = full_bytes();
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
    unsigned n_refused = 0;
    (void)state;
    for (int i = 0; i < FLIPS; i++) {
        struct molt_meta *meta;
        uint8_t *damaged = copied(bytes.data, bytes.len);
        for (uint64_t k = next_random(&seed) % 4 + 1; k-- > 0;)
            damaged[next_random(&seed) % bytes.len] ^= (uint8_t)(1u << next_random(&seed) % 8);
        int rc = decode(damaged, bytes.len, &meta, NULL);
        free(damaged);
        n_refused += rc < 0;
        assert_true(rc == 0 || rc == MOLT_EFORMAT);
        if (rc < 0)
            continue;
        assert_consistent(meta);
        molt_meta_free(meta);
    }
    assert_true(n_refused > 0 && n_refused < FLIPS);
    molt_buf_fini(&bytes);
}

/* Encodes @meta, which is freed, and expects the decoder to refuse it. */
static void assert_refused(struct molt_meta *meta)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_meta *decoded;
    assert_int_equal(molt_meta_encode(meta, &bytes), 0);
    assert_int_equal(decode(bytes.data, bytes.len, &decoded, NULL), MOLT_EFORMAT);
    molt_meta_free(meta);
    molt_buf_fini(&bytes);
}

static void an_index_past_the_types_is_refused(void **state)
{
    (void)state;
    struct molt_meta *meta = full_meta();
    meta->tags[0] = 2;
    assert_refused(meta);
    meta = full_meta();
    meta->servers[0].state_type = MOLT_TYPE_NONE;
    assert_refused(meta);
    meta = full_meta();
    meta->servers[0].init_type = 2;
    assert_refused(meta);
    meta = full_meta();
    meta->servers[0].handler_types[1] = 9;
    assert_refused(meta);
    meta = full_meta();
    meta->servers[0].change_types[0] = MOLT_TYPE_NONE;
    assert_refused(meta);
}

static void a_pointer_outside_its_type_is_refused(void **state)
{
    (void)state;
    struct molt_meta *meta = full_meta();
    meta->types[0].ptrs[1].offset = 33;
    assert_refused(meta);
    meta = full_meta();
    meta->types[0].ptrs[1].offset = UINT32_MAX - 7;
    assert_refused(meta);
    meta = full_meta();
    meta->types[0].ptrs[1].count = UINT32_MAX;
    assert_refused(meta);
    meta = full_meta();
    meta->types[0].ptrs[1].offset = 8; /* inside the first run */
    assert_refused(meta);
    meta = full_meta();
    meta->types[0].ptrs[0].count = 0;
    assert_refused(meta);
}

static void a_flexible_member_inside_its_struct_is_refused(void **state)
{
    (void)state;
    struct molt_meta *meta = full_meta();
    meta->types[1].flex_at = 9;
    assert_refused(meta);
    meta = full_meta();
    meta->types[1].flex_size = 16; /* its words end at 24 */
    assert_refused(meta);
    meta = full_meta();
    meta->types[0].flex_size = 8; /* there are pointers behind its offset, 0 */
    assert_refused(meta);
    meta = full_meta();
    meta->types[0].flex_at = 40; /* of elements that take no bytes */
    assert_refused(meta);
}

static void an_empty_module_name_is_refused(void **state)
{
    (void)state;
    struct molt_meta *meta = full_meta();
    meta->module[0] = '\0';
    assert_refused(meta);
}

static void a_symbol_name_comes_apart_as_it_was_put_together(void **state)
{
    char name[64], buf[64];
    const char *module, *function;
    uint64_t sig;
    (void)state;
    int len = molt_meta_symbol_name(name, sizeof name, "counter", "next", UINT64_C(0xabcdef));
    assert_string_equal(name, "molt$counter$next$0000000000abcdef");
    assert_int_equal(len, strlen(name));
    assert_int_equal(molt_meta_symbol_parse(name, buf, sizeof buf, &module, &function, &sig), 0);
    assert_string_equal(module, "counter");
    assert_string_equal(function, "next");
    assert_true(sig == UINT64_C(0xabcdef));
}

static void a_symbol_name_that_does_not_fit_is_refused(void **state)
{
    char name[34], buf[34];
    const char *module, *function;
    uint64_t sig;
    (void)state;
    assert_int_equal(molt_meta_symbol_name(name, sizeof name, "counter", "next", 1), MOLT_EINVAL);
    assert_int_equal(molt_meta_symbol_parse("molt$counter$next$0000000000abcdef", buf, sizeof buf,
                                            &module, &function, &sig),
                     MOLT_EFORMAT);
}

static void names_of_another_form_are_refused(void **state)
{
    static const char *const names[] = {
        "",
        "molt$",
        "molt$a",
        "molt$a$f",
        "molt$a$f$",
        "molt$a$f$123",
        "molt$a$f$0123456789abcdeg",
        "molt$a$f$0123456789ABCDEF",
        "molt$a$f$0123456789abcdef0",
        "molt$$f$0123456789abcdef",
        "molt$a$$0123456789abcdef",
        "nolt$a$f$0123456789abcdef",
        "molt$a$f$g$0123456789abcdef",
    };
    char buf[64];
    const char *module, *function;
    uint64_t sig;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(molt_meta_symbol_parse(names[i], buf, sizeof buf, &module, &function,
                                                &sig),
                         MOLT_EFORMAT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_decoded),
        cmocka_unit_test(encoding_what_was_decoded_gives_the_same_bytes),
        cmocka_unit_test(bytes_that_end_anywhere_too_early_are_refused),
        cmocka_unit_test(bytes_that_go_on_after_the_end_are_refused),
        cmocka_unit_test(random_damage_is_refused_or_gives_a_consistent_description),
        cmocka_unit_test(an_index_past_the_types_is_refused),
        cmocka_unit_test(a_pointer_outside_its_type_is_refused),
        cmocka_unit_test(a_flexible_member_inside_its_struct_is_refused),
        cmocka_unit_test(an_empty_module_name_is_refused),
        cmocka_unit_test(a_symbol_name_comes_apart_as_it_was_put_together),
        cmocka_unit_test(a_symbol_name_that_does_not_fit_is_refused),
        cmocka_unit_test(names_of_another_form_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
