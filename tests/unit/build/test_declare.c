/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "build/tokens.h"

static bool in_header(void *user, uint32_t file)
{
    const struct molt_tokens *tokens = user;
    return strcmp(tokens->files.v[file], "own.h") == 0;
}

/* Names found in @text, which stands in own.h, joined by spaces. */
static void expect(const char *text, const char *names)
{
    struct molt_buf source = MOLT_BUF_INIT, joined = MOLT_BUF_INIT;
    struct molt_tokens tokens;
    struct molt_args found = MOLT_ARGS_INIT;
    molt_buf_printf(&source, "# 1 \"own.h\"\n%s\n", text);
    assert_int_equal(molt_tokens_read(source.data, &tokens), 0);
    molt_tokens_functions(&tokens, in_header, &tokens, &found);
    molt_buf_printf(&joined, "%s", "");
    for (size_t i = 0; i < found.n; i++)
        molt_buf_printf(&joined, "%s%s", i ? " " : "", found.v[i]);
    assert_string_equal(joined.data, names);
    molt_args_fini(&found);
    molt_tokens_fini(&tokens);
    molt_buf_fini(&source);
    molt_buf_fini(&joined);
}

static void prototypes_are_found(void **state)
{
    (void)state;
    expect("int a(void); extern const char *b(int x, char (*y)[3]);", "a b");
    expect("unsigned long long c(void); struct s *d(struct s *); foo_t e(foo_t);", "c d e");
    expect("int a(void), *b(int), c;", "a b");
    expect("int (paren)(int);", "paren");
    expect("_Noreturn void die(void); __extension__ extern int ext(void);", "die ext");
}

static void functions_that_return_pointers_to_functions_are_found(void **state)
{
    (void)state;
    expect("int (*f(int))(void);", "f");
    expect("void (*set(int, void (*)(int)))(int);", "set");
    expect("int (*(*g(void))(int))[4];", "g");
}

static void pointers_to_functions_are_variables(void **state)
{
    (void)state;
    expect("extern int (*fp)(void); int (*table[3])(int); int x, y[2];", "");
}

static void attributes_are_skipped(void **state)
{
    (void)state;
    expect("int log_it(const char *, ...) __attribute__((format(printf, 1, 2)));", "log_it");
    expect("__attribute__((warn_unused_result)) int a(void) __asm__(\"b\");", "a");
    expect("struct __attribute__((packed)) p { int (*m)(void); }; int f(struct p);", "f");
    expect("int __attribute__((noinline)) late(void);", "late");
}

static void statics_typedefs_and_inline_bodies_are_no_exports(void **state)
{
    (void)state;
    expect("static int a(void); static inline int b(void) { int c(int); return 1; }", "");
    expect("inline int d(void) { return 2; } int e(void);", "e");
    expect("typedef int fn(int); typedef int (*fp)(int); fp v;", "");
    expect("typedef struct { int x; } t; t make(t); enum { A, B = sizeof(int (*)(void)) };",
           "make");
}

static void typedefs_of_functions_declare_functions(void **state)
{
    (void)state;
    expect("typedef int fn(int); fn a, *b; extern fn c;", "a c");
}

static void assertions_and_initialisers_are_skipped(void **state)
{
    (void)state;
    expect("_Static_assert(sizeof(int) == 4, \"f(\"); int a(void);", "a");
    expect("static const int t[] = { 1, (2), sizeof(struct { int x; }) }; int b(void);", "b");
    expect("_Alignas(8) extern int x; _Atomic(int) y; __typeof__(int) f(void);", "f");
}

static void other_files_declare_nothing(void **state)
{
    (void)state;
    expect("int a(void);\n# 1 \"other.h\" 1\nint b(void);\n# 3 \"own.h\" 2\nint c(void);", "a c");
    expect("#define X int no(void);\nint a(void\n#pragma pack(1)\n);", "a");
}

static void broken_text_ends(void **state)
{
    (void)state;
    expect("int a(void", "a");
    expect("}}} ))) ; int", "");
    expect("((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((", "");
    expect("'unterminated\n\"too\n struct {", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prototypes_are_found),
        cmocka_unit_test(functions_that_return_pointers_to_functions_are_found),
        cmocka_unit_test(pointers_to_functions_are_variables),
        cmocka_unit_test(attributes_are_skipped),
        cmocka_unit_test(statics_typedefs_and_inline_bodies_are_no_exports),
        cmocka_unit_test(typedefs_of_functions_declare_functions),
        cmocka_unit_test(assertions_and_initialisers_are_skipped),
        cmocka_unit_test(other_files_declare_nothing),
        cmocka_unit_test(broken_text_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
