/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "support/test_module.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

static char *copy(const char *text)
{
    char *copied = strdup(text);
    assert_non_null(copied);
    return copied;
}

static void *list(size_t n, size_t size)
{
    void *items = calloc(n + 1, size);
    assert_non_null(items);
    return items;
}

/* ---- the image -------------------------------------------------------------- */

static void add_names(struct molt_buf *text, const struct module_export *symbols)
{
    for (size_t i = 0; i < TEST_LIST_MAX && symbols[i].module; i++)
        molt_buf_printf(text, "#pragma redefine_extname %s molt$%s$%s$%016" PRIx64 "\n",
                        symbols[i].name, symbols[i].module, symbols[i].name, symbols[i].sig);
}

static char *write_source(struct module_maker *maker, const struct test_module *module,
                          const char *name)
{
    struct molt_buf text = MOLT_BUF_INIT;
    add_names(&text, module->exports);
    add_names(&text, module->imports);
    molt_buf_printf(&text, "#include <molt/molt.h>\n%s\nMOLT_MODULE_DESCRIPTOR(\"%s\");\n",
                    module->text, module->says ? module->says : module->module);
    assert_false(text.is_failed);
    char *path = module_maker_write(maker, name, text.data);
    molt_buf_fini(&text);
    return path;
}

static char *build_image(struct module_maker *maker, const struct test_module *module)
{
    char output[96], name[112], include[256];
    snprintf(output, sizeof output, "%s-%u", module->module, maker->n_commands);
    snprintf(name, sizeof name, "%s.c", output);
    snprintf(include, sizeof include, "-I%s", maker->include);
    char *source = write_source(maker, module, name);
    struct module_source request = {.output = output,
                                    .sources = {source},
                                    .cflags = {"-w", include}};
    for (size_t i = 0; i + 2 < MODULE_FLAGS_MAX; i++)
        request.cflags[i + 2] = module->cflags[i];
    memcpy(request.ldflags, module->ldflags, sizeof request.ldflags);
    char *path = module_maker_build(maker, &request);
    free(source);
    return path;
}

/* ---- the meta --------------------------------------------------------------- */

static struct molt_meta_symbol *symbols_of(const struct module_export *exports, size_t *ret_n)
{
    struct molt_meta_symbol *symbols = list(TEST_LIST_MAX, sizeof *symbols);
    size_t n = 0;
    for (; n < TEST_LIST_MAX && exports[n].module; n++)
        symbols[n] = (struct molt_meta_symbol){.module = copy(exports[n].module),
                                               .name = copy(exports[n].name),
                                               .sig = exports[n].sig};
    *ret_n = n;
    return symbols;
}

static void fill_headers(struct molt_meta *meta, const struct test_module *module)
{
    meta->headers = list(TEST_LIST_MAX, sizeof *meta->headers);
    for (size_t i = 0; i < TEST_LIST_MAX && module->headers[i].module; i++) {
        struct molt_meta_header *header = &meta->headers[meta->n_headers++];
        header->module = copy(module->headers[i].module);
        memset(header->digest, module->headers[i].digest, sizeof header->digest);
    }
}

static void fill_types(struct molt_meta *meta, const struct test_module *module)
{
    meta->types = list(TEST_LIST_MAX, sizeof *meta->types);
    for (size_t i = 0; i < TEST_LIST_MAX && module->types[i].key; i++) {
        const struct test_type *type = &module->types[i];
        meta->types[meta->n_types++] = (struct molt_meta_type){
            .key = copy(type->key),
            .name = copy(type->key),
            .hash = type->hash,
            .shape = type->hash,
            .size = type->size,
            .is_from_header = type->is_from_header,
        };
    }
    meta->n_tags = module->n_tags;
    meta->tags = list(meta->n_tags, sizeof *meta->tags);
}

static void fill_servers(struct molt_meta *meta, const struct test_module *module)
{
    meta->servers = list(TEST_LIST_MAX, sizeof *meta->servers);
    for (size_t i = 0; i < TEST_LIST_MAX && module->servers[i].name; i++)
        meta->servers[meta->n_servers++] = (struct molt_meta_server){
            .name = copy(module->servers[i].name),
            .state_type = module->servers[i].state_type,
            .init_type = MOLT_TYPE_NONE,
        };
}

static char **strings_of(const char *const *strings, size_t *ret_n)
{
    char **copies = list(TEST_LIST_MAX, sizeof *copies);
    size_t n = 0;
    for (; n < TEST_LIST_MAX && strings[n]; n++)
        copies[n] = copy(strings[n]);
    *ret_n = n;
    return copies;
}

/* Where they are, and how long, nobody says. */
static struct molt_meta_global *globals_of(const char *const *names, size_t *ret_n)
{
    struct molt_meta_global *globals = list(TEST_LIST_MAX, sizeof *globals);
    size_t n = 0;
    for (; n < TEST_LIST_MAX && names[n]; n++)
        globals[n] = (struct molt_meta_global){.name = copy(names[n]),
                                               .type = copy("int"),
                                               .obstacle = copy("")};
    *ret_n = n;
    return globals;
}

/* The note of PT_NOTE "GNU"; gold and bfd both put it into a segment alone or
 * beside others. */
static void read_build_id(struct molt_meta *meta, int fd)
{
    Elf64_Ehdr header;
    uint8_t notes[512];
    assert_int_equal(pread(fd, &header, sizeof header, 0), sizeof header);
    for (unsigned i = 0; i < header.e_phnum && meta->build_id_len == 0; i++) {
        Elf64_Phdr ph;
        off_t at = (off_t)(header.e_phoff + i * sizeof ph);
        assert_int_equal(pread(fd, &ph, sizeof ph, at), sizeof ph);
        if (ph.p_type != PT_NOTE || ph.p_filesz > sizeof notes)
            continue;
        assert_int_equal(pread(fd, notes, ph.p_filesz, (off_t)ph.p_offset), ph.p_filesz);
        for (size_t n = 0; n + sizeof(Elf64_Nhdr) <= ph.p_filesz;) {
            Elf64_Nhdr note;
            memcpy(&note, notes + n, sizeof note);
            size_t desc = n + sizeof note + ((note.n_namesz + 3u) & ~3u);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= sizeof meta->build_id) {
                memcpy(meta->build_id, notes + desc, note.n_descsz);
                meta->build_id_len = note.n_descsz;
            }
            n = desc + ((note.n_descsz + 3u) & ~3u);
        }
    }
    assert_true(meta->build_id_len > 0);
}

struct test_image test_module_build(struct module_maker *maker, const struct test_module *module)
{
    struct test_image image = {.path = build_image(maker, module)};
    struct molt_meta *meta = image.meta = list(1, sizeof *meta);
    int fd = open(image.path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    meta->module = copy(module->module);
    assert_int_equal(molt_sha256_fd(fd, meta->digest), 0);
    meta->content = molt_sha256_word(meta->digest);
    meta->exports = symbols_of(module->exports, &meta->n_exports);
    meta->imports = symbols_of(module->imports, &meta->n_imports);
    fill_headers(meta, module);
    fill_types(meta, module);
    fill_servers(meta, module);
    meta->pins = strings_of(module->pins, &meta->n_pins);
    meta->globals = globals_of(module->globals, &meta->n_globals);
    read_build_id(meta, fd);
    close(fd);
    return image;
}

void test_image_fini(struct test_image *image, void (*free_meta)(struct molt_meta *))
{
    free(image->path);
    free_meta(image->meta);
    *image = (struct test_image){0};
}
