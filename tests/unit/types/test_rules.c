/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Every image rule, broken by a real object. */
#include <elf.h>

#include <molt/abi.h>

#include "types/rules.h"
#include "unit/types/fixture.h"

static const char plain_c[] = "#include <molt/molt.h>\nint plain(int x);\n"
                              "int plain(int x) { return x + 1; }\n";

/* Build @text with these flags and expect a refusal. */
static void refuses(const char *cc, const char *cflags, const char *ldflags, const char *text,
                    int code, const char *words)
{
    struct fixture f;
    fixture_init(&f, cc, cflags);
    f.c.ldflags = ldflags;
    fixture_refuses(&f, "plain", text, code, words);
    fixture_fini(&f);
}

/* With both compilers, optimised and not. */
static void all_refuse(const char *ldflags, const char *text, int code, const char *words)
{
    for (size_t i = 0; i < 4; i++)
        refuses(fixture_matrix[i][0], fixture_matrix[i][1], ldflags, text, code, words);
}

/* A module with one export, whose bytes a test then changes. */
static void build_plain(struct fixture *f)
{
    fixture_init(f, "gcc", "-O2");
    compile_write(&f->c, "plain.h", "int twice(int x);\n");
    fixture_export(f, "plain", "plain.h", "twice");
    fixture_good(f, "plain",
                 "#include <molt/molt.h>\n#include \"../plain.h\"\n#include <stdio.h>\n"
                 "struct s { int n; };\nvoid *make(void);\n"
                 "void *make(void) { puts(\"x\"); return molt_new(struct s); }\n"
                 "int twice(int x) { return 2 * x; }\n");
}

static Elf64_Ehdr *header_of(struct fixture *f)
{
    return (Elf64_Ehdr *)(void *)f->image;
}

static Elf64_Phdr *segment_of(struct fixture *f, uint32_t type, uint32_t flags)
{
    Elf64_Phdr *p = (Elf64_Phdr *)(void *)(f->image + header_of(f)->e_phoff);
    for (size_t i = 0; i < header_of(f)->e_phnum; i++)
        if (p[i].p_type == type && (p[i].p_flags & flags) == flags)
            return &p[i];
    fail_msg("no segment of type %u", type);
    return NULL;
}

static void what_is_no_elf_file_is_refused(void **state)
{
    (void)state;
    struct fixture f = {0};
    f.image = (uint8_t *)strdup("#!/bin/sh\necho hello, this is a script\n");
    f.len = strlen((char *)f.image);
    fixture_refused(&f, NULL, MOLT_EFORMAT, "not an ELF file|0x23|not-elf");
    f.len = 0;
    fixture_refused(&f, NULL, MOLT_EFORMAT, "not an ELF file|empty");
    free(f.image);
}

static void other_machines_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    build_plain(&f);
    uint16_t machine = header_of(&f)->e_machine;
    header_of(&f)->e_machine = EM_PPC64;
    fixture_refused(&f, "plain", MOLT_EREFUSED, "another kind of machine|machine 21");
    header_of(&f)->e_machine = machine;
    f.image[EI_CLASS] = ELFCLASS32;
    fixture_refused(&f, "plain", MOLT_EREFUSED, "class 1");
    f.image[EI_CLASS] = ELFCLASS64;
    f.image[EI_DATA] = ELFDATA2MSB;
    fixture_refused(&f, "plain", MOLT_EREFUSED, "byte order");
    fixture_fini(&f);
}

static void executables_and_object_files_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    build_plain(&f);
    header_of(&f)->e_type = ET_EXEC;
    fixture_refused(&f, "plain", MOLT_EREFUSED, "not a shared object|executable");
    free(f.image);
    f.image = compile_read(&f.c, "a.o", &f.len);
    fixture_refused(&f, "plain", MOLT_EREFUSED, "not a shared object|.o");
    fixture_fini(&f);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    build_plain(&f);
    f.len = f.len / 2;
    fixture_refused(&f, "plain", MOLT_EFORMAT, "cut off|truncated");
    f.len = 30;
    fixture_refused(&f, "plain", MOLT_EFORMAT, "cut off");
    fixture_fini(&f);
}

static void tables_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    build_plain(&f);
    header_of(&f)->e_shentsize = 3;
    fixture_refused(&f, "plain", MOLT_EFORMAT, "don't fit together|corrupt");
    header_of(&f)->e_shentsize = sizeof(Elf64_Shdr);
    Elf64_Phdr *text = segment_of(&f, PT_LOAD, PF_X);
    text->p_align = 4095;
    fixture_refused(&f, "plain", MOLT_EFORMAT, "aligned");
    text->p_align = 4096;
    text->p_vaddr -= 4096;
    fixture_refused(&f, "plain", MOLT_EFORMAT, "corrupt");
    fixture_fini(&f);
}

static void without_a_descriptor_there_is_no_module(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O2");
    f.has_no_descriptor = true;
    fixture_refuses(&f, "plain", plain_c, MOLT_EREFUSED, "no molt module|molt$module");
    fixture_fini(&f);
}

static void another_abi_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    const uint64_t magic = MOLT_MODULE_MAGIC;
    build_plain(&f);
    uint8_t *at = memmem(f.image, f.len, &magic, sizeof magic);
    assert_non_null(at);
    at[8]++;
    fixture_refused(&f, "plain", MOLT_EREFUSED, "another molt|rebuild");
    fixture_fini(&f);
}

static void another_modules_image_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    build_plain(&f);
    fixture_refused(&f, "counter", MOLT_EREFUSED, "it is module plain, expected was counter");
    fixture_fini(&f);
    fixture_init(&f, "gcc", "-O2");
    compile_write(&f.c, "other.h", "int other_f(int x);\n");
    fixture_export(&f, "other", "other.h", "other_f");
    fixture_refuses(&f, "plain", "#include \"../other.h\"\nint other_f(int x) { return x; }\n",
                    MOLT_EREFUSED, "plain defines other_f of module other");
    fixture_fini(&f);
}

static void constructors_are_refused(void **state)
{
    (void)state;
    all_refuse("",
               "#include <stdio.h>\n"
               "__attribute__((constructor)) static void set_up(void) { puts(\"up\"); }\n",
               MOLT_EREFUSED, "set_up|.init_array|MOLT_ON_LOAD");
    all_refuse("",
               "#include <stdio.h>\n"
               "__attribute__((destructor)) static void tear(void) { puts(\"down\"); }\n",
               MOLT_EREFUSED, "tear|.fini_array|MOLT_ON_ABANDON");
    refuses("gcc", "-O0", "-Wl,-init=start", "void start(void); void start(void) {}\n",
            MOLT_EREFUSED, "start|DT_INIT");
}

static void sanitizer_constructors_are_fine_where_allowed(void **state)
{
    (void)state;
    static const char text[] = "#include <molt/molt.h>\nstatic int counter;\nint *get(void);\n"
                               "int *get(void) { return &counter; }\n";
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        fixture_init(&f, i ? "clang" : "gcc", "-O1 -fsanitize=address,undefined");
        fixture_build(&f, "plain", text);
        fixture_refused(&f, "plain", MOLT_EREFUSED, "constructor");
        f.allow_sanitizer = true;
        if (fixture_read(&f, "plain") < 0)
            fail_msg("%s: %s", f.c.cc, f.err.text);
        assert_true(f.meta->flags & MOLT_META_SANITIZED);
        assert_int_equal(f.meta->n_globals, 1);
        assert_non_null(strstr(f.meta->globals[0].name, "plain.c:counter"));
        assert_string_equal(f.meta->globals[0].obstacle, "");
        fixture_refuses(&f, "plain",
                        "#include <stdio.h>\n__attribute__((constructor)) void mine(void);\n"
                        "void mine(void) { puts(\"up\"); }\n",
                        MOLT_EREFUSED, "mine");
        fixture_fini(&f);
    }
}

static void search_paths_are_refused(void **state)
{
    (void)state;
    refuses("gcc", "-O0", "-Wl,-rpath,/opt/lib", plain_c, MOLT_EREFUSED,
            "search path|DT_RUNPATH \"/opt/lib\"");
    refuses("gcc", "-O0", "-Wl,-rpath,/opt/lib -Wl,--disable-new-dtags", plain_c, MOLT_EREFUSED,
            "DT_RPATH");
}

static void thread_local_variables_are_refused(void **state)
{
    (void)state;
    static const char text[] = "static __thread int mine;\nint *get(void);\n"
                               "int *get(void) { mine++; return &mine; }\n";
    all_refuse("", text, MOLT_EREFUSED, "thread-local variables|mine");
    refuses("gcc", "-O0 -ftls-model=initial-exec", "",
            "extern __thread int theirs;\nint *get(void);\n"
            "int *get(void) { return &theirs; }\n",
            MOLT_EREFUSED, "static thread-local storage|-ftls-model=global-dynamic");
}

static void what_never_unloads_is_refused(void **state)
{
    (void)state;
    refuses("gcc", "-O0", "-Wl,-z,nodelete", plain_c, MOLT_EREFUSED, "never be unloaded|NODELETE");
    refuses("gcc", "-O0", "",
            "__asm__(\".data\\n.globl \\\"molt$once\\\"\\n\"\n"
            "\".type \\\"molt$once\\\", @gnu_unique_object\\n\"\n"
            "\".size \\\"molt$once\\\", 8\\n\\\"molt$once\\\": .quad 0\\n.text\\n\");\n",
            MOLT_EREFUSED, "molt$once|-fno-gnu-unique");
}

static void executable_stacks_and_writable_code_are_refused(void **state)
{
    (void)state;
    refuses("gcc", "-O0", "-Wl,-z,execstack", plain_c, MOLT_EREFUSED, "executable stack|X flag");
    struct fixture f;
    build_plain(&f);
    Elf64_Phdr *stack = segment_of(&f, PT_GNU_STACK, 0);
    stack->p_type = PT_NULL;
    fixture_refused(&f, "plain", MOLT_EREFUSED, "executable stack|absent");
    stack->p_type = PT_GNU_STACK;
    segment_of(&f, PT_LOAD, PF_X)->p_flags |= PF_W;
    fixture_refused(&f, "plain", MOLT_EREFUSED, "writable and executable");
    fixture_fini(&f);
}

static void text_relocations_are_refused(void **state)
{
    (void)state;
    refuses("gcc", "-O0", "-Wl,-z,notext",
            "#include <stdio.h>\nint say(void); int say(void) { return puts(\"x\"); }\n"
            "__asm__(\".text\\n.quad puts\\n\");\n",
            MOLT_EREFUSED, "changed at load|-fPIC");
}

static void unknown_relocations_are_refused(void **state)
{
    (void)state;
    refuses("gcc", "-O0", "-fuse-ld=lld -Wl,--pack-dyn-relocs=relr",
            "const char *const names[] = {\"a\", \"b\", \"c\"};\n"
            "const char *get(int i); const char *get(int i) { return names[i]; }\n",
            MOLT_EREFUSED, "relocation|packed");
}

static void indirect_functions_are_refused(void **state)
{
    (void)state;
    all_refuse("",
               "static int one(void) { return 1; }\n"
               "static int (*choose(void))(void) { return one; }\n"
               "static int pick(void) __attribute__((ifunc(\"choose\")));\n"
               "int use(void); int use(void) { return pick(); }\n",
               MOLT_EREFUSED, "indirect function|resolver");
}

static void imported_data_is_refused_with_the_accessor_to_write(void **state)
{
    (void)state;
    all_refuse("", "\nextern int hits;\nint use(void);\nint use(void)\n{\n    return ++hits;\n}\n",
               MOLT_EREFUSED, "variable of another module|hits|src/plain.c:6|get_hits()");
}

static void variables_of_libraries_are_fine(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        fixture_good(&f, "plain",
                     "#define _GNU_SOURCE\n#include <stdio.h>\n#include <unistd.h>\n"
                     "#include <errno.h>\n"
                     "int use(void);\nint use(void)\n"
                     "{ fputs(optarg, stdout); return environ[0] != 0 && errno; }\n");
        fixture_fini(&f);
    }
}

static void undefined_functions_are_link_errors_with_a_place(void **state)
{
    (void)state;
    all_refuse("",
               "int missing(int x);\nint use(int x);\nint use(int x)\n{\n"
               "    return missing(x) + 1;\n}\n",
               MOLT_ELINK, "undefined function: missing|src/plain.c:5|libs.NAME");
    all_refuse("", "int missing(int x);\nint (*const table[])(int) = {missing};\n", MOLT_ELINK,
               "missing|src/plain.c:2");
}

static void tail_calls_to_undefined_functions_have_a_place_too(void **state)
{
    (void)state;
    all_refuse("",
               "int missing(int x);\nint use(int x);\nint use(int x)\n{\n"
               "    return missing(x);\n}\n",
               MOLT_ELINK, "undefined function: missing|src/plain.c:5");
}

static void a_sanitizer_that_the_host_lacks_is_refused(void **state)
{
    (void)state;
    refuses("gcc", "-O1 -fsanitize=undefined", "",
            "int add(int a, int b); int add(int a, int b) { return a + b; }\n", MOLT_ELINK,
            "__ubsan|-fsanitize");
}

static void write_other(struct fixture *f)
{
    compile_write(&f->c, "other.h", "struct req { long id; };\nlong other_f(struct req *r);\n");
    fixture_export(f, "other", "other.h", "other_f");
}

static const char user_c[] = "#include \"../other.h\"\nlong use(struct req *r);\n"
                             "long use(struct req *r) { return other_f(r); }\n";

static void imports_without_anchor_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "clang", "-O0");
    write_other(&f);
    f.has_no_anchors = true;
    fixture_refuses(&f, "plain", user_c, MOLT_EREFUSED, "other_f of module other|molt build");
    fixture_fini(&f);
}

static void imports_compiled_against_another_signature_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "struct req { long id; };\nint other_f(struct req *r);\n",
        "struct req { int id; };\nlong other_f(struct req *r);\n",
        "struct req { long id; };\nlong other_f(const struct req *r);\n",
        "struct req { long number; };\nlong other_f(struct req *r);\n",
    };
    for (size_t i = 0; i < 4 * sizeof headers / sizeof *headers; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i % 4][0], fixture_matrix[i % 4][1]);
        write_other(&f);
        compile_write(&f.c, "other.h", headers[i / 4]);
        fixture_refuses(&f, "plain", user_c, MOLT_EREFUSED,
                        "another signature|other_f of module other");
        fixture_fini(&f);
    }
}

static void exports_that_differ_from_their_header_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        compile_write(&f.c, "plain.h", "long total(long a);\n");
        fixture_export(&f, "plain", "plain.h", "total");
        fixture_refuses(&f, "plain", "long total(int a);\nlong total(int a) { return a; }\n",
                        MOLT_EREFUSED, "src/plain.c:2 total|long (int)|header");
        fixture_fini(&f);
    }
}

static void debug_info_must_be_whole_and_plain(void **state)
{
    (void)state;
    refuses("gcc", "-O0 -gz", "-Wl,--compress-debug-sections=zlib", plain_c, MOLT_EREFUSED,
            "compressed debug info|.debug|-gz");
    refuses("gcc", "-O0", "-Wl,--compress-debug-sections=zlib-gnu", plain_c, MOLT_EREFUSED,
            "compressed debug info|.zdebug");
    refuses("gcc", "-O0 -gsplit-dwarf", "", plain_c, MOLT_EREFUSED,
            "all in one place|-gsplit-dwarf");
    refuses("clang", "-O0 -gsplit-dwarf", "", plain_c, MOLT_EREFUSED,
            "all in one place|-gsplit-dwarf");
    refuses("gcc", "-O0 -fdebug-types-section", "",
            "struct s { int n; }; int use(struct s *s); int use(struct s *s) { return s->n; }\n",
            MOLT_EREFUSED, "units of their own|-fdebug-types-section");
    refuses("gcc", "-O0", "-Wl,-s", plain_c, MOLT_EREFUSED, "no debug info|-g");
    refuses("gcc", "-O0 -g0", "", plain_c, MOLT_EREFUSED, "no debug info");
    refuses("gcc", "-O0 -gdwarf-3", "", plain_c, MOLT_EFORMAT, "version 3|-gdwarf-5");
}

static void debug_info_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    build_plain(&f);
    const Elf64_Shdr *s = (Elf64_Shdr *)(void *)(f.image + header_of(&f)->e_shoff);
    const char *names = (char *)f.image + s[header_of(&f)->e_shstrndx].sh_offset;
    for (size_t i = 0; i < header_of(&f)->e_shnum; i++)
        if (strcmp(names + s[i].sh_name, ".debug_abbrev") == 0)
            memset(f.image + s[i].sh_offset, 0x2e, s[i].sh_size);
    fixture_refused(&f, "plain", MOLT_EFORMAT, "makes no sense|debug-bad");
    fixture_fini(&f);
}

static void a_build_id_is_needed(void **state)
{
    (void)state;
    refuses("gcc", "-O0", "-Wl,--build-id=none", plain_c, MOLT_EREFUSED,
            "no build-id|--build-id=sha1");
}

static void one_header_type_has_one_layout_in_a_module(void **state)
{
    (void)state;
    static const char a[] = "#include <molt/molt.h>\n#include \"../msg.h\"\nvoid *make_a(void);\n"
                            "void *make_a(void) { return molt_new(struct msg); }\n";
    static const char b[] = "#define WIDE\n#include <molt/molt.h>\n#include \"../msg.h\"\n"
                            "void *make_b(void);\n"
                            "void *make_b(void) { return molt_new(struct msg); }\n";
    struct fixture f;
    fixture_init(&f, "gcc", "-O0");
    compile_write(&f.c, "msg.h", "struct msg { int a;\n#ifdef WIDE\n long wide;\n#endif\n};\n");
    fixture_object(&f, "plain", "src/a.c", a, "a.o", true);
    fixture_object(&f, "plain", "src/b.c", b, "b.o", false);
    fixture_link(&f, "a.o b.o");
    fixture_refused(&f, "plain", MOLT_EREFUSED, "two layouts|msg.h:struct msg|4 and 16 bytes");
    fixture_fini(&f);
}

static void forbidden_functions_are_refused_with_the_alternative(void **state)
{
    (void)state;
    static const struct {
        const char *call, *words;
    } cases[] = {
        {"atexit(f)", "atexit|.terminate"},
        {"on_exit((void (*)(int, void *))(void *)f, 0)", "on_exit"},
        {"at_quick_exit(f)", "at_quick_exit"},
        {"pthread_atfork(f, f, f)", "pthread_atfork|forks"},
        {"signal(SIGINT, SIG_IGN) == SIG_ERR", "signal|signalfd"},
        {"sigaction(SIGINT, 0, 0)", "sigaction|host"},
        {"sigaltstack(0, 0)", "sigaltstack"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "#include <stdlib.h>\n#include <pthread.h>\n#include <signal.h>\n"
                 "void f(void); void f(void) {}\nint use(void); int use(void) { return %s; }\n",
                 cases[i].call);
        refuses(i & 1 ? "clang" : "gcc", "-O0", "", text, MOLT_EREFUSED, cases[i].words);
    }
}

static void functions_that_keep_addresses_pin_the_version(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O2");
    fixture_good(&f, "plain",
                 "#include <pthread.h>\n#include <threads.h>\n#include <time.h>\n"
                 "#include <signal.h>\n"
                 "static void *run(void *p) { return p; }\nint use(void);\nint use(void)\n"
                 "{ pthread_t t; pthread_key_t k; timer_t m; tss_t s; thrd_t d;\n"
                 "  return pthread_create(&t, 0, run, 0) + pthread_key_create(&k, 0) +\n"
                 "    timer_create(CLOCK_MONOTONIC, 0, &m) + tss_create(&s, 0) +\n"
                 "    thrd_create(&d, (int (*)(void *))(void *)run, 0); }\n");
    static const char *const pins[] = {"pthread_create", "pthread_key_create", "thrd_create",
                                       "timer_create", "tss_create"};
    assert_int_equal(f.meta->n_pins, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(f.meta->pins[i], pins[i]);
    fixture_fini(&f);
}

static void the_documentation_lists_every_rule(void **state)
{
    (void)state;
    FILE *file = fopen(MOLT_SOURCE_DIR "/docs/refusals.md", "r");
    assert_non_null(file);
    static char text[65536];
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    for (int i = 0; i < MOLT_RULE_COUNT; i++) {
        char row[1024];
        snprintf(row, sizeof row, "| `%s` | %s | %s |\n", molt_rule_name((enum molt_rule)i),
                 molt_rule_message((enum molt_rule)i), molt_rule_remedy((enum molt_rule)i));
        if (!strstr(text, row))
            fail_msg("docs/refusals.md lacks: %s", row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_elf_file_is_refused),
        cmocka_unit_test(other_machines_are_refused),
        cmocka_unit_test(executables_and_object_files_are_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(tables_that_do_not_fit_are_refused),
        cmocka_unit_test(without_a_descriptor_there_is_no_module),
        cmocka_unit_test(another_abi_is_refused),
        cmocka_unit_test(another_modules_image_is_refused),
        cmocka_unit_test(constructors_are_refused),
        cmocka_unit_test(sanitizer_constructors_are_fine_where_allowed),
        cmocka_unit_test(search_paths_are_refused),
        cmocka_unit_test(thread_local_variables_are_refused),
        cmocka_unit_test(what_never_unloads_is_refused),
        cmocka_unit_test(executable_stacks_and_writable_code_are_refused),
        cmocka_unit_test(text_relocations_are_refused),
        cmocka_unit_test(unknown_relocations_are_refused),
        cmocka_unit_test(indirect_functions_are_refused),
        cmocka_unit_test(imported_data_is_refused_with_the_accessor_to_write),
        cmocka_unit_test(variables_of_libraries_are_fine),
        cmocka_unit_test(undefined_functions_are_link_errors_with_a_place),
        cmocka_unit_test(tail_calls_to_undefined_functions_have_a_place_too),
        cmocka_unit_test(a_sanitizer_that_the_host_lacks_is_refused),
        cmocka_unit_test(imports_without_anchor_are_refused),
        cmocka_unit_test(imports_compiled_against_another_signature_are_refused),
        cmocka_unit_test(exports_that_differ_from_their_header_are_refused),
        cmocka_unit_test(debug_info_must_be_whole_and_plain),
        cmocka_unit_test(debug_info_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_build_id_is_needed),
        cmocka_unit_test(one_header_type_has_one_layout_in_a_module),
        cmocka_unit_test(forbidden_functions_are_refused_with_the_alternative),
        cmocka_unit_test(functions_that_keep_addresses_pin_the_version),
        cmocka_unit_test(the_documentation_lists_every_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
