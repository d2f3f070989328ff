/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the demo changes in examples/hello and in molt's module http. */
#include <stdlib.h>

#include "demo/demo.h"

typedef unsigned long save_fn(const char *path, const char *text);

/* Replace @from by @to in <@folder>/<@name>. */
static uint64_t edit(const char *folder, const char *name, const char *from, const char *to,
                     save_fn *save)
{
    char *path = molt_bench_text("%s/%s", folder, name);
    char *old = molt_bench_read(path), *text = molt_bench_replace(old, from, to);
    uint64_t saved_ns = save(path, text);
    free(text);
    free(old);
    free(path);
    return saved_ns;
}

static uint64_t save_second(const char *root, const char *share)
{
    (void)share;
    return edit(root, "src/hello.c", "Hello 1", "Hello 2", molt_bench_rename);
}

static uint64_t save_broken(const char *root, const char *share)
{
    (void)share;
    return edit(root, "src/hello.c", "return molt_http_printf(r, 200, \"Hello 2\\n\");",
                "return molt_http_printf(r, 200, \"Hello 3\\n\")", molt_bench_write);
}

static uint64_t save_fixed(const char *root, const char *share)
{
    (void)share;
    return edit(root, "src/hello.c", "\"Hello 3\\n\")", "\"Hello 3\\n\");", molt_bench_write);
}

/* The state gets a second field, and says how it comes from one without. What
 * shows it to the connections is a new function of the counter, so three files
 * are saved, in an order in which each of them compiles. */
static uint64_t save_counter(const char *root, const char *share)
{
    (void)share;
    char *path = molt_bench_text("%s/src/counter.c", root);
    char *a = molt_bench_read(path);
    char *b = molt_bench_replace(a, "    long n;\n};\n",
                                 "    long n;\n    long max;\n};\n"
                                 "struct counter_before { /* as it was */\n    long n;\n};\n");
    char *c = molt_bench_replace(b, "static int on_next(",
                                 "static int from_before(const struct counter_before *old, "
                                 "struct counter *c)\n"
                                 "{\n    c->n = c->max = old->n;\n    return 0;\n}\n\n"
                                 "static int on_next(");
    char *d = molt_bench_replace(c, "t->n = c->n += m->by;",
                                 "t->n = c->n += m->by;\n"
                                 "    c->max = c->n > c->max ? c->n : c->max;");
    char *e = molt_bench_replace(d, ".init = MOLT_FN(init),",
                                 ".init = MOLT_FN(init),\n            .change = "
                                 "{MOLT_CHANGE(struct counter_before, from_before)},");
    char *f =
        molt_bench_text("%s\nconst char *counter_form(void)\n{\n    return \"n, max\";\n}\n", e);
    uint64_t saved_ns = molt_bench_rename(path, f);
    edit(root, "src/counter.h", "long counter_next(void);\n",
         "long counter_next(void);\n\n/* What the state holds. */\n"
         "const char *counter_form(void);\n",
         molt_bench_rename);
    edit(root, "src/hello.c", "\"Hello 3\\n\");", "\"Hello 4: %s\\n\", counter_form());",
         molt_bench_rename);
    free(f);
    free(e);
    free(d);
    free(c);
    free(b);
    free(a);
    free(path);
    return saved_ns;
}

/* The web server's own code: it is a module like any other. */
static uint64_t save_http(const char *root, const char *share)
{
    (void)root;
    return edit(share, "modules/http/http.c",
                "int rc, len = vsnprintf(text, sizeof(text), fmt, ap);",
                "int rc, len = vsnprintf(text, sizeof(text), fmt, ap);\n"
                "    if (text[0] == 'H')\n        text[0] = 'h';",
                molt_bench_write);
}

const struct demo_edit molt_demo_edits[DEMO_EDITS] = {
    {"hello.c: another answer", "hello", "Hello 2\n", save_second},
    {"hello.c: a syntax error", NULL, NULL, save_broken},
    {"hello.c: the error corrected", "hello", "Hello 3\n", save_fixed},
    {"counter.c: the state gets a field", "counter", "Hello 4: n, max\n", save_counter},
    {"http.c: the web server itself", "http", "hello 4: n, max\n", save_http},
};
