/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/template.h"

static const char conf[] = "# see molt(1) for the keys\n"
                           "name = @NAME@\n"
                           "start = app\n"
                           "http.port = 9000\n";

static const char ignore[] = "/.molt/\n";

static const char readme[] =
    "# @NAME@\n"
    "\n"
    "    molt dev                      # build, run, bring in each save\n"
    "    curl localhost:9000/\n"
    "\n"
    "Edit src/hello.c and save: the next request has it, also on connections that are open.\n"
    "Edit src/counter.c: the counter goes on counting from where it was.\n"
    "\n"
    "| file | what it is |\n"
    "|---|---|\n"
    "| molt.conf | name, port, and which supervisor is the root |\n"
    "| src/app.c | the supervisor: a counter and a web server |\n"
    "| src/hello.c | the routes and their handlers |\n"
    "| src/counter.c | a process with state; `counter_next()` asks it |\n"
    "| src/counter.h | what other modules may call |\n"
    "\n"
    "For production: `molt build`, then `molt run`.\n";

static const char app[] =
    "/* The root of @NAME@: whoever dies is started again. */\n"
    "#include <molt/http.h> /* brings in module http, which has http_listener */\n"
    "#include <molt/molt.h>\n"
    "\n"
    "MOLT_SUPERVISOR(app, .child = {{.id = \"counter\", .server = \"counter\"},\n"
    "                               {.id = \"http\", .server = \"http_listener\"}});\n";

static const char hello[] = "/* What the world sees. Change \"Hello\" and save. */\n"
                            "#include <molt/http.h>\n"
                            "#include <molt/molt.h>\n"
                            "\n"
                            "#include \"counter.h\"\n"
                            "\n"
                            "static int hello(struct molt_http *r)\n"
                            "{\n"
                            "    return molt_http_printf(r, 200, \"Hello\\n\");\n"
                            "}\n"
                            "\n"
                            "static int count(struct molt_http *r)\n"
                            "{\n"
                            "    long n = counter_next();\n"
                            "    if (n < 0)\n"
                            "        return (int)n; /* the client gets 500 */\n"
                            "    return molt_http_printf(r, 200, \"%ld\\n\", n);\n"
                            "}\n"
                            "\n"
                            "MOLT_ROUTES({\"GET\", \"/\", hello}, {\"GET\", \"/count\", count});\n";

static const char counter_h[] = "/* A counter that outlives its code. */\n"
                                "#ifndef COUNTER_H\n"
                                "#define COUNTER_H\n"
                                "\n"
                                "/* The next number, from 1, or a negative code. */\n"
                                "long counter_next(void);\n"
                                "\n"
                                "#endif\n";

static const char counter_c[] =
    "#include \"counter.h\"\n"
    "\n"
    "#include <molt/molt.h>\n"
    "\n"
    "struct counter { /* the state: any C struct */\n"
    "    long n;\n"
    "};\n"
    "struct next { /* a request */\n"
    "    long by;\n"
    "};\n"
    "struct total { /* its reply */\n"
    "    long n;\n"
    "};\n"
    "\n"
    "static int init(struct counter *c, const long *first)\n"
    "{\n"
    "    c->n = first ? *first : 0;\n"
    "    return 0;\n"
    "}\n"
    "\n"
    "static int on_next(struct counter *c, struct next *m, struct molt_from *from)\n"
    "{\n"
    "    struct total *t = molt_new(struct total);\n"
    "    if (!t)\n"
    "        return molt_reply_error(from, MOLT_ENOMEM);\n"
    "    t->n = c->n += m->by;\n"
    "    return molt_reply(from, t); /* consumed */\n"
    "}\n"
    "\n"
    "MOLT_SERVER(counter, struct counter, .init = MOLT_FN(init),\n"
    "            .on = {MOLT_CALL(struct next, on_next)});\n"
    "\n"
    "long counter_next(void) /* runs in the caller's process */\n"
    "{\n"
    "    struct next *m = molt_new(struct next);\n"
    "    struct total *t = NULL;\n"
    "    if (!m)\n"
    "        return MOLT_ENOMEM;\n"
    "    m->by = 1;\n"
    "    int rc = molt_call(\"counter\", m, &t, 1000); /* m consumed, t ours, milliseconds */\n"
    "    long n = rc < 0 ? rc : t->n;\n"
    "    molt_free(t);\n"
    "    return n;\n"
    "}\n";

static const struct molt_template list[] = {
    {"molt.conf", conf},          {".gitignore", ignore}, {"README.md", readme},
    {"src/app.c", app},           {"src/hello.c", hello}, {"src/counter.h", counter_h},
    {"src/counter.c", counter_c},
};

const struct molt_template *molt_template_list(size_t *ret_n)
{
    *ret_n = sizeof(list) / sizeof(list[0]);
    return list;
}
