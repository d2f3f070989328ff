/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "web/journal.h"

#include <stdlib.h>
#include <string.h>

#include "web/json.h"

struct entry {
    uint64_t time_ms;
    enum molt_level level;
    char *text; /* NULL: there was no memory for it */
};

struct molt_journal {
    uint64_t newest; /* number n is in entries[n % MOLT_JOURNAL_MAX] */
    struct entry entries[MOLT_JOURNAL_MAX];
};

int molt_journal_new(struct molt_journal **ret)
{
    struct molt_journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return MOLT_ENOMEM;
    *ret = journal;
    return 0;
}

void molt_journal_free(struct molt_journal *journal)
{
    for (size_t i = 0; journal && i < MOLT_JOURNAL_MAX; i++)
        free(journal->entries[i].text);
    free(journal);
}

void molt_journal_push(struct molt_journal *journal, uint64_t time_ms, enum molt_level level,
                       const char *text)
{
    struct entry *e = &journal->entries[++journal->newest % MOLT_JOURNAL_MAX];
    free(e->text);
    *e = (struct entry){.time_ms = time_ms, .level = level, .text = strdup(text)};
}

uint64_t molt_journal_newest(const struct molt_journal *journal)
{
    return journal->newest;
}

static const char *level_name(enum molt_level level)
{
    switch (level) {
    case MOLT_DEBUG:
        return "debug";
    case MOLT_INFO:
        return "info";
    case MOLT_WARN:
        return "warning";
    case MOLT_ERR:
        break;
    }
    return "error";
}

static json_t *entry_json(const struct molt_journal *journal, uint64_t number)
{
    const struct entry *e = &journal->entries[number % MOLT_JOURNAL_MAX];
    return json_pack("{s:I, s:I, s:s, s:o}", "number", (json_int_t)number, "time_ms",
                     (json_int_t)e->time_ms, "level", level_name(e->level), "text",
                     molt_json_text(e->text ? e->text : ""));
}

json_t *molt_journal_json(const struct molt_journal *journal, uint64_t after)
{
    json_t *list = json_array();
    uint64_t gone = journal->newest > MOLT_JOURNAL_MAX ? journal->newest - MOLT_JOURNAL_MAX : 0;
    for (uint64_t n = (after > gone ? after : gone) + 1; list && n <= journal->newest; n++) {
        if (json_array_append_new(list, entry_json(journal, n)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
