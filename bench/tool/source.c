/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/source.h"

#include "base/buf.h"
#include "tool/bench.h"

#define SECTIONS 15

static char *take(struct molt_buf *out)
{
    char *text = molt_buf_take(out);
    if (!text)
        molt_bench_die("out of memory");
    return text;
}

/* Nineteen lines. */
static void add_section(struct molt_buf *out, unsigned i)
{
    molt_buf_printf(
        out,
        "struct item%u {\n"
        "    int key, weight;\n"
        "    char name[24];\n"
        "};\n"
        "static const struct item%u items%u[] = {{1, %u, \"first\"}, {2, 5, \"second\"}};\n"
        "\n"
        "static int find%u(const char *name, size_t len)\n"
        "{\n"
        "    int best = -1;\n"
        "    for (size_t i = 0; i < sizeof(items%u) / sizeof(*items%u); i++) {\n"
        "        const struct item%u *it = &items%u[i];\n"
        "        if (strncmp(it->name, name, len) == 0 && it->weight > best)\n"
        "            best = it->weight;\n"
        "        else if (it->key == (int)len)\n"
        "            best += it->key;\n"
        "    }\n"
        "    return best;\n"
        "}\n"
        "\n",
        i, i, i, i + 3, i, i, i, i, i);
}

char *molt_bench_source_page(unsigned version)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_adds(&out, "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n"
                        "#include <molt/http.h>\n#include <molt/molt.h>\n\n");
    for (unsigned i = 0; i < SECTIONS; i++)
        add_section(&out, i);
    molt_buf_adds(&out, "static int page(struct molt_http *r)\n{\n"
                        "    const char *q = molt_http_query(r);\n    int sum = 0;\n"
                        "    if (q && *q) {\n");
    for (unsigned i = 0; i < SECTIONS; i++)
        molt_buf_printf(&out, "        sum += find%u(q, %u);\n", i, i + 1);
    molt_buf_printf(&out,
                    "    }\n    return molt_http_printf(r, 200, \"Hello %%d\\n\", %u + sum);\n}\n\n"
                    "/* Keeps its connection's process in this version for a minute. */\n"
                    "static int hold(struct molt_http *r)\n{\n    molt_sleep(60000);\n"
                    "    return molt_http_printf(r, 200, \"held\\n\");\n}\n\n"
                    "MOLT_ROUTES({\"GET\", \"/\", page}, {\"GET\", \"/hold\", hold});\n",
                    version);
    return take(&out);
}

char *molt_bench_source_exports_header(unsigned number, unsigned n)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_printf(&out, "#ifndef M%u_H\n#define M%u_H\n", number, number);
    for (unsigned i = 0; i < n; i++)
        molt_buf_printf(&out, "long m%u_f%u(long x);\n", number, i);
    molt_buf_adds(&out, "#endif\n");
    return take(&out);
}

char *molt_bench_source_exports(unsigned number, unsigned n)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_printf(&out, "#include \"m%u.h\"\n", number);
    for (unsigned i = 0; i < n; i++)
        molt_buf_printf(&out, "long m%u_f%u(long x) { return x + %u; }\n", number, i, i);
    return take(&out);
}
