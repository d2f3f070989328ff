/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Errors, buffers, readers and digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <molt/error.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/sha256.h"

static void codes_have_names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(molt_error_name(MOLT_ENOMEM), "MOLT_ENOMEM");
    assert_string_equal(molt_error_text(MOLT_ESTALE), "stale handle");
    assert_string_equal(molt_error_name(-9999), "MOLT_E?");
    assert_string_equal(molt_error_text(1), "unknown error");
    assert_string_equal(molt_error_text(0), "no error");
}

static void error_text_that_is_too_long_is_marked_as_cut(void **state)
{
    (void)state;
    struct molt_error err = {0};
    char text[2 * MOLT_ERROR_TEXT_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(molt_error_set(&err, MOLT_EIO, "%s", text), MOLT_EIO);
    assert_int_equal(strlen(err.text), MOLT_ERROR_TEXT_MAX - 1);
    assert_string_equal(err.text + MOLT_ERROR_TEXT_MAX - 4, "...");
}

static void wrap_puts_context_before_the_reason(void **state)
{
    (void)state;
    struct molt_error err = {0};
    molt_error_set(&err, MOLT_EIO, "disk full");
    assert_int_equal(molt_error_wrap(&err, MOLT_EINVAL, "storing %s", "a.so"), MOLT_EIO);
    assert_string_equal(err.text, "storing a.so: disk full");
    struct molt_error empty = {0};
    assert_int_equal(molt_error_wrap(&empty, MOLT_EBUSY, "now"), MOLT_EBUSY);
    assert_string_equal(empty.text, "now: busy");
    assert_int_equal(molt_error_wrap(NULL, MOLT_EBUSY, "now"), MOLT_EBUSY);
}

static void buffer_reads_back_what_was_written(void **state)
{
    (void)state;
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_u8(&buf, 7);
    molt_buf_u32(&buf, 0xdeadbeef);
    molt_buf_u64(&buf, UINT64_C(0x0123456789abcdef));
    molt_buf_str(&buf, "name");
    molt_buf_str(&buf, NULL);
    molt_buf_bytes(&buf, "\0\1", 2);
    struct molt_reader r = molt_reader_init(buf.data, buf.len);
    assert_int_equal(molt_reader_u8(&r), 7);
    assert_int_equal(molt_reader_u32(&r), 0xdeadbeef);
    assert_true(molt_reader_u64(&r) == UINT64_C(0x0123456789abcdef));
    char *name = molt_reader_str(&r), *empty = molt_reader_str(&r);
    assert_string_equal(name, "name");
    assert_string_equal(empty, "");
    size_t len;
    assert_memory_equal(molt_reader_bytes(&r, &len), "\0\1", 2);
    assert_int_equal(len, 2);
    assert_true(molt_reader_at_end(&r));
    free(name);
    free(empty);
    molt_buf_fini(&buf);
}

static void reader_stays_failed_after_a_bound(void **state)
{
    (void)state;
    const uint8_t bytes[] = {255, 0, 0, 0, 'a'};
    struct molt_reader r = molt_reader_init(bytes, sizeof(bytes));
    assert_null(molt_reader_str(&r));
    assert_true(r.is_failed);
    assert_int_equal(molt_reader_u8(&r), 0);
    assert_false(molt_reader_at_end(&r));
    /* A count that can't be true is not believed. */
    struct molt_reader counts = molt_reader_init(bytes, sizeof(bytes));
    assert_int_equal(molt_reader_count(&counts, 4), 0);
    assert_true(counts.is_failed);
}

static void string_with_a_nul_inside_is_refused(void **state)
{
    (void)state;
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_bytes(&buf, "a\0b", 3);
    struct molt_reader r = molt_reader_init(buf.data, buf.len);
    assert_null(molt_reader_str(&r));
    molt_buf_fini(&buf);
}

static void printf_grows_the_buffer(void **state)
{
    (void)state;
    struct molt_buf buf = MOLT_BUF_INIT;
    for (int i = 0; i < 1000; i++)
        molt_buf_printf(&buf, "%d,", i);
    assert_int_equal(buf.len, 10 * 2 + 90 * 3 + 900 * 4);
    char *text = molt_buf_take(&buf);
    assert_string_equal(text + strlen(text) - 4, "999,");
    assert_null(buf.data);
    free(text);
}

/* FIPS 180-4, example "abc". */
static void digest_of_abc_is_the_standards(void **state)
{
    (void)state;
    static const char expected[] =
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    uint8_t digest[MOLT_SHA256_BYTES], back[MOLT_SHA256_BYTES];
    char hex[MOLT_SHA256_HEX];
    assert_int_equal(molt_sha256("abc", 3, digest), 0);
    molt_sha256_hex(digest, hex);
    assert_string_equal(hex, expected);
    assert_int_equal(molt_sha256_from_hex(hex, back), 0);
    assert_memory_equal(back, digest, sizeof(digest));
    assert_true(molt_sha256_word(digest) == UINT64_C(0xba7816bf8f01cfea));
    assert_int_equal(molt_sha256_from_hex("ba78", back), MOLT_EFORMAT);
    assert_int_equal(molt_sha256_from_hex("BA7816BF", back), MOLT_EFORMAT);
}

static void digest_of_a_descriptor_starts_at_its_beginning(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    fputs("abc", file);
    fflush(file);
    uint8_t a[MOLT_SHA256_BYTES], b[MOLT_SHA256_BYTES];
    assert_int_equal(molt_sha256_fd(fileno(file), a), 0);
    assert_int_equal(molt_sha256("abc", 3, b), 0);
    assert_memory_equal(a, b, sizeof(a));
    fclose(file);
    assert_int_equal(molt_sha256_fd(-1, a), MOLT_EIO);
}

struct item {
    int n;
    struct molt_list link;
};

static void list_keeps_order_and_survives_unlinking(void **state)
{
    (void)state;
    struct molt_list head, other;
    struct item items[5];
    molt_list_init(&head);
    molt_list_init(&other);
    for (int i = 0; i < 5; i++) {
        items[i].n = i;
        molt_list_append(&head, &items[i].link);
    }
    int sum = 0;
    molt_list_each (node, tmp, &head) {
        struct item *item = molt_container_of(node, struct item, link);
        if (item->n % 2)
            molt_list_unlink(&item->link);
        else
            sum = sum * 10 + item->n;
    }
    assert_int_equal(sum, 24);
    molt_list_splice(&other, &head);
    assert_true(molt_list_is_empty(&head));
    assert_int_equal(molt_container_of(other.next, struct item, link)->n, 0);
    assert_int_equal(molt_container_of(other.prev, struct item, link)->n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_names_and_texts),
        cmocka_unit_test(error_text_that_is_too_long_is_marked_as_cut),
        cmocka_unit_test(wrap_puts_context_before_the_reason),
        cmocka_unit_test(buffer_reads_back_what_was_written),
        cmocka_unit_test(reader_stays_failed_after_a_bound),
        cmocka_unit_test(string_with_a_nul_inside_is_refused),
        cmocka_unit_test(printf_grows_the_buffer),
        cmocka_unit_test(digest_of_abc_is_the_standards),
        cmocka_unit_test(digest_of_a_descriptor_starts_at_its_beginning),
        cmocka_unit_test(list_keeps_order_and_survives_unlinking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
