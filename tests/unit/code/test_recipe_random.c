/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Random recipes against an oracle that follows them byte by byte, value by
 * value; and damage, which is refused or can be followed. MOLT_SEED replays.
 */
#include "recipe_maker.h"

#define RECIPES 3000
#define DAMAGES 30000
#define STEPS_MAX 400

static uint64_t rng;

static uint32_t draw(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 11) % n);
}

static void seed(uint64_t salt)
{
    const char *given = getenv("MOLT_SEED");
    rng = (given ? strtoull(given, NULL, 0) : 20260101) * 2654435761u + salt + 1;
}

/* ---- making ------------------------------------------------------------------------ */

struct maker {
    struct molt_step steps[STEPS_MAX];
    uint32_t n;
    struct molt_recipe_map maps[64];
    uint32_t n_maps;
    uint8_t bytes[256];
};

static uint8_t a_width(unsigned max)
{
    static const uint8_t widths[] = {1, 2, 4, 8, 16};
    return widths[draw(max == 8 ? 4 : 5)];
}

/* Values for an enum of one byte, some of them missing. */
static void fill_enum(struct maker *m, struct molt_step *s)
{
    s->old_bytes = 1;
    s->new_bytes = a_width(8);
    s->flags &= OLD;
    s->first = m->n_maps;
    for (int v = 0; v < 256 && m->n_maps < 64; v += 1 + (int)draw(20)) {
        int old = s->flags & OLD ? v - 128 : v;
        m->maps[m->n_maps++] = (struct molt_recipe_map){old, draw(256)};
        s->n_steps++;
    }
}

static uint32_t place(uint32_t size, uint32_t bytes)
{
    return draw(size - bytes + 1);
}

static bool fill_leaf(struct maker *m, struct molt_step *s, uint32_t old, uint32_t new)
{
    static const uint8_t kinds[] = {MOLT_STEP_COPY,    MOLT_STEP_INT, MOLT_STEP_BITS,
                                    MOLT_STEP_ENUM,    MOLT_STEP_SET, MOLT_STEP_WORD,
                                    MOLT_STEP_POINTER, MOLT_STEP_INT};
    s->kind = kinds[draw(8)];
    s->flags = (uint8_t)draw(4);
    s->count = 1 + draw(5);
    s->old_bytes = a_width(16);
    s->new_bytes = a_width(16);
    if (s->kind == MOLT_STEP_BITS) {
        s->count = 1;
        s->old_bytes = (uint8_t)(1 + draw(64));
        s->new_bytes = (uint8_t)(1 + draw(64));
        if (8 * old < s->old_bytes || 8 * new < s->new_bytes)
            return false;
        s->old_at = place(8 * old, s->old_bytes);
        s->new_at = place(8 * new, s->new_bytes);
        return true;
    }
    if (s->kind == MOLT_STEP_ENUM)
        fill_enum(m, s);
    if (s->kind == MOLT_STEP_COPY || s->kind == MOLT_STEP_SET)
        s->old_bytes = s->new_bytes = 1;
    if (s->kind == MOLT_STEP_SET)
        s->first = draw(200);
    if (s->kind == MOLT_STEP_WORD || s->kind == MOLT_STEP_POINTER)
        s->old_bytes = s->new_bytes = sizeof(void *);
    if (old < s->count * s->old_bytes || new < s->count * s->new_bytes)
        return false;
    s->old_at = place(old, s->count * s->old_bytes);
    s->new_at = place(new, s->count * s->new_bytes);
    return true;
}

static void fill(struct maker *m, uint32_t first, uint32_t n, uint32_t old, uint32_t new,
                 unsigned depth);

static void fill_union(struct maker *m, struct molt_step *s, uint32_t old, uint32_t new,
                       unsigned depth)
{
    s->kind = MOLT_STEP_UNION;
    s->old_bytes = 1;
    s->old_at = draw(old);
    s->first = m->n;
    s->n_steps = 200;
    m->n += 200;
    uint32_t n_inner = draw(2);
    for (uint32_t i = 0; i < 200; i++) {
        struct molt_step *one = &m->steps[s->first + i];
        *one = (struct molt_step){.kind = MOLT_STEP_CASE, .limit = i, .first = m->n};
        if (i < 2 && m->n + n_inner < STEPS_MAX) {
            one->n_steps = n_inner;
            m->n += n_inner;
            fill(m, one->first, n_inner, old, new, depth + 1);
        }
    }
}

static void fill_each(struct maker *m, struct molt_step *s, uint32_t old, uint32_t new,
                      unsigned depth)
{
    s->kind = MOLT_STEP_EACH;
    s->count = 1 + draw(4);
    s->old_stride = draw(old / s->count + 1);
    s->new_stride = draw(new / s->count + 1);
    s->old_at = place(old, s->count * s->old_stride);
    s->new_at = place(new, s->count * s->new_stride);
    s->first = m->n;
    s->n_steps = 1 + draw(3);
    m->n += s->n_steps;
    fill(m, s->first, s->n_steps, s->old_stride, s->new_stride, depth + 1);
}

static void fill(struct maker *m, uint32_t first, uint32_t n, uint32_t old, uint32_t new,
                 unsigned depth)
{
    for (uint32_t i = first; i < first + n; i++) {
        struct molt_step *s = &m->steps[i];
        *s = (struct molt_step){0};
        uint32_t what = draw(8);
        if (what == 0 && depth < 4 && m->n + 10 < STEPS_MAX)
            fill_each(m, s, old, new, depth);
        else if (what == 1 && depth < 2 && old && m->n + 204 < STEPS_MAX)
            fill_union(m, s, old, new, depth);
        else if (!fill_leaf(m, s, old, new))
            *s = (struct molt_step){.kind = MOLT_STEP_COPY}; /* of nothing */
    }
}

static struct molt_recipe *random_recipe(void)
{
    struct maker m = {0};
    uint32_t old = 1 + draw(96), new = 1 + draw(96), n = 1 + draw(6);
    for (size_t i = 0; i < sizeof m.bytes; i++)
        m.bytes[i] = (uint8_t)draw(256);
    m.n = n;
    fill(&m, 0, n, old, new, 0);
    if (draw(3) == 0 && m.n + 4 < STEPS_MAX) {
        /* The last of the top becomes the flexible member if it has no children. */
        struct molt_step *s = &m.steps[n - 1];
        if (s->kind != MOLT_STEP_EACH && s->kind != MOLT_STEP_UNION) {
            *s = (struct molt_step){.kind = MOLT_STEP_FLEX,
                                    .old_at = old,
                                    .new_at = new,
                                    .old_stride = 1 + draw(24),
                                    .new_stride = draw(24),
                                    .first = m.n,
                                    .n_steps = 1 + draw(2)};
            m.n += s->n_steps;
            fill(&m, s->first, s->n_steps, s->old_stride, s->new_stride, 2);
        }
    }
    struct molt_recipe *r = maker_new(old, new, m.steps, m.n);
    r->n_top = n;
    maker_maps(r, m.maps, m.n_maps);
    maker_bytes(r, m.bytes, sizeof m.bytes);
    return r;
}

/* ---- the oracle ---------------------------------------------------------------------- */

struct oracle {
    const struct molt_recipe *r;
    const uint8_t *old;
    uint8_t *new;
    size_t old_bytes;
};

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 uwide;

static bool bit(const uint8_t *bytes, uint64_t at)
{
    return bytes[at / 8] >> at % 8 & 1;
}

/* The number in @bits bits from bit @at on, bit by bit. */
static uwide read_bits(const uint8_t *bytes, uint64_t at, unsigned bits, bool is_signed)
{
    uwide v = is_signed && bit(bytes, at + bits - 1) ? ~(uwide)0 : 0;
    for (unsigned i = bits; i-- > 0;)
        v = v << 1 | bit(bytes, at + i);
    return v;
}

static bool fits(uwide v, bool was_signed, unsigned bits, bool is_signed)
{
    bool is_negative = was_signed && (wide)v < 0;
    if (is_negative)
        return is_signed && (bits == 128 || (wide)v >= -((wide)1 << (bits - 1)));
    unsigned room = bits - is_signed;
    return room == 128 || v >> room == 0;
}

static bool value(struct oracle *o, const struct molt_step *s, uint64_t old_bit, uint64_t new_bit,
                  unsigned old_bits, unsigned new_bits, bool keeps)
{
    uwide v = read_bits(o->old, old_bit, old_bits, s->flags & OLD);
    if (!fits(v, s->flags & OLD, new_bits, s->flags & NEW))
        return false;
    for (unsigned i = 0; i < new_bits; i++) {
        uint8_t mask = (uint8_t)(1u << (new_bit + i) % 8);
        uint8_t *at = &o->new[(new_bit + i) / 8];
        bool is_set = i < 128 && (v >> i & 1);
        *at = is_set || (keeps && (*at & mask)) ? *at | mask : (uint8_t)(*at & ~mask);
    }
    return true;
}

static bool mapped(struct oracle *o, const struct molt_step *s, size_t old, size_t new)
{
    wide v = (wide)read_bits(o->old, 8 * old, 8u * s->old_bytes, s->flags & OLD);
    for (uint32_t i = s->first; i < s->first + s->n_steps; i++) {
        if (o->r->maps[i].old != v)
            continue;
        for (unsigned k = 0; k < s->new_bytes; k++)
            o->new[new + k] = (uint8_t)((uint64_t)o->r->maps[i].new >> 8 * k);
        return true;
    }
    return false;
}

static bool follow(struct oracle *o, uint32_t first, uint32_t n, size_t old, size_t new);

static bool follow_one(struct oracle *o, const struct molt_step *s, size_t old, size_t new)
{
    size_t from = old + s->old_at, to = new + s->new_at, count = s->count;
    bool ok = true;
    if (s->kind == MOLT_STEP_BITS)
        return value(o, s, 8 * old + s->old_at, 8 * new + s->new_at, s->old_bytes, s->new_bytes,
                     true);
    if (s->kind == MOLT_STEP_FLEX)
        count = (o->old_bytes - from) / s->old_stride;
    if (s->kind == MOLT_STEP_UNION) {
        int64_t tag = (int64_t)(wide)read_bits(o->old, 8 * from, 8, s->flags & OLD);
        for (uint32_t i = s->first; i < s->first + s->n_steps; i++)
            if (o->r->steps[i].limit == tag)
                return follow(o, o->r->steps[i].first, o->r->steps[i].n_steps, old, new);
        return false;
    }
    for (size_t i = 0; i < count && ok; i++) {
        switch (s->kind) {
        case MOLT_STEP_COPY:
            o->new[to + i] = o->old[from + i];
            break;
        case MOLT_STEP_SET:
            o->new[to + i] = o->r->bytes[s->first + i];
            break;
        case MOLT_STEP_WORD:
        case MOLT_STEP_POINTER:
            for (size_t k = 0; k < sizeof(void *); k++)
                o->new[to + i * sizeof(void *) + k] = o->old[from + i * sizeof(void *) + k];
            break;
        case MOLT_STEP_INT:
            ok = value(o, s, 8 * (from + i * s->old_bytes), 8 * (to + i * s->new_bytes),
                       8u * s->old_bytes, 8u * s->new_bytes, false);
            break;
        case MOLT_STEP_ENUM:
            ok = mapped(o, s, from + i * s->old_bytes, to + i * s->new_bytes);
            break;
        default: /* EACH and FLEX */
            ok = follow(o, s->first, s->n_steps, from + i * s->old_stride, to + i * s->new_stride);
        }
    }
    return ok;
}

static bool follow(struct oracle *o, uint32_t first, uint32_t n, size_t old, size_t new)
{
    for (uint32_t i = first; i < first + n; i++)
        if (!follow_one(o, &o->r->steps[i], old, new))
            return false;
    return true;
}

/* ---- tests --------------------------------------------------------------------------- */

/* New bytes that steps write more than once depend on the order of steps and
 * elements; nobody makes such recipes. */
static bool mark(uint8_t *seen, uint64_t bit_at, uint64_t bits)
{
    for (uint64_t i = bit_at; i < bit_at + bits; i++) {
        if (bit(seen, i))
            return false;
        seen[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return true;
}

static bool writes_once(const struct molt_recipe *r, uint32_t first, uint32_t n, uint64_t new,
                        uint8_t *seen)
{
    for (uint32_t i = first; i < first + n; i++) {
        const struct molt_step *s = &r->steps[i];
        uint64_t unit = s->new_bytes;
        bool ok = true;
        if (s->kind == MOLT_STEP_EACH) {
            for (uint32_t k = 0; k < s->count && ok; k++)
                ok = writes_once(r, s->first, s->n_steps,
                                 new + s->new_at + (uint64_t)k * s->new_stride, seen);
        } else if (s->kind == MOLT_STEP_FLEX || s->kind == MOLT_STEP_CASE) {
            uint8_t own[4096] = {0};
            ok = writes_once(r, s->first, s->n_steps, new, s->kind == MOLT_STEP_FLEX ? own : seen);
        } else if (s->kind == MOLT_STEP_UNION) {
            ok = writes_once(r, s->first, s->n_steps, new, seen);
        } else if (s->kind == MOLT_STEP_BITS) {
            ok = mark(seen, 8 * new + s->new_at, s->new_bytes);
        } else {
            ok = mark(seen, 8 * (new + s->new_at), 8 * unit * s->count);
        }
        if (!ok)
            return false;
    }
    return true;
}

static void assert_as_oracle(const struct molt_recipe *r, const uint8_t *old, size_t old_bytes)
{
    size_t new_bytes = molt_recipe_new_bytes(r, old_bytes);
    uint8_t *now = calloc(1, new_bytes + 1), *want = calloc(1, new_bytes + 1);
    struct molt_recipe_fault fault = {0};
    struct oracle o = {r, old, want, old_bytes};
    size_t n = old_bytes / r->from_size;
    if (r->steps[r->n_top - 1].kind == MOLT_STEP_FLEX)
        n = 1;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++)
        ok = follow(&o, 0, r->n_top, i * r->from_size, i * r->to_size);
    int rc = maker_run(r, old, old_bytes, now, NULL, &fault);
    assert_int_equal(rc, ok ? 0 : MOLT_ECHANGE);
    if (ok)
        assert_memory_equal(now, want, new_bytes);
    else
        assert_true(fault.why[0]);
    free(now);
    free(want);
}

static void random_recipes_do_what_the_oracle_does(void **state)
{
    (void)state;
    unsigned n_run = 0;
    for (int i = 0; i < RECIPES; i++) {
        seed((uint64_t)i << 20);
        uint8_t seen[4096] = {0};
        struct molt_recipe *r = random_recipe();
        bool is_fair = writes_once(r, 0, r->n_top, 0, seen);
        bool has_flex = r->steps[r->n_top - 1].kind == MOLT_STEP_FLEX;
        for (int k = 0; k < 4 && is_fair; k++) {
            size_t n = k < 2 ? 1 : 1 + draw(300);
            size_t bytes = has_flex ? r->from_size + draw(100) : n * r->from_size;
            uint8_t *old = malloc(bytes + 1);
            /* Small values fit more often. */
            for (size_t j = 0; j < bytes; j++)
                old[j] = (uint8_t)(k % 2 ? draw(256) : draw(8) ? 0 : draw(100));
            assert_as_oracle(r, old, bytes);
            free(old);
            n_run++;
        }
        molt_recipe_free(r);
    }
    assert_true(n_run > RECIPES);
}

static void random_recipes_survive_encoding(void **state)
{
    (void)state;
    for (int i = 0; i < RECIPES; i++) {
        seed((uint64_t)i << 20);
        struct molt_buf bytes = MOLT_BUF_INIT;
        struct molt_recipe *r = random_recipe(), *now;
        struct molt_error err;
        assert_int_equal(molt_recipe_encode(r, &bytes), 0);
        assert_int_equal(molt_recipe_decode(bytes.data, bytes.len, &now, &err), 0);
        assert_true(molt_recipe_is_equal(r, now));
        molt_recipe_free(r);
        molt_recipe_free(now);
        molt_buf_fini(&bytes);
    }
}

static void forwarding_stays_inside_the_new_block(void **state)
{
    (void)state;
    for (int i = 0; i < RECIPES / 4; i++) {
        seed((uint64_t)i << 20);
        struct molt_recipe *r = random_recipe();
        size_t bytes = r->from_size * (size_t)(1 + draw(3));
        size_t new_bytes = molt_recipe_new_bytes(r, bytes);
        for (size_t at = 0; at <= bytes + 1; at++) {
            char why[160];
            size_t now = 0;
            uint64_t type = draw(2) ? molt_recipe_type_id("old") : draw(2);
            int rc = molt_recipe_forward(r, bytes, at, type, &now, why, sizeof why);
            assert_true(rc == 0 || rc == MOLT_ECHANGE);
            assert_true(now <= new_bytes);
        }
        molt_recipe_free(r);
    }
}

/* What a damaged recipe does with a block is of no interest, only that it does
 * nothing outside. */
static void try_damaged(const struct molt_recipe *r)
{
    struct molt_recipe_fault fault;
    char why[160];
    size_t at;
    if (r->from_size > 1 << 16 || r->to_size > 1 << 16)
        return;
    for (size_t n = 1; n < 4; n += 2) {
        size_t bytes = n * r->from_size + (n == 3 ? 5 : 0);
        size_t new_bytes = molt_recipe_new_bytes(r, bytes);
        if (new_bytes > 1 << 24)
            continue;
        uint8_t *old = calloc(1, bytes + 1), *now = calloc(1, new_bytes + 1);
        maker_run(r, old, bytes, now, NULL, &fault);
        molt_recipe_forward(r, bytes, draw((uint32_t)bytes + 1), draw(2), &at, why, sizeof why);
        free(old);
        free(now);
    }
}

static void damage_is_refused_or_harmless(void **state)
{
    (void)state;
    unsigned n_accepted = 0;
    for (int i = 0; i < DAMAGES; i++) {
        seed((uint64_t)i << 20 | 1);
        struct molt_buf bytes = MOLT_BUF_INIT;
        struct molt_recipe *r = random_recipe(), *now;
        struct molt_error err;
        assert_int_equal(molt_recipe_encode(r, &bytes), 0);
        molt_recipe_free(r);
        for (uint32_t k = 1 + draw(3); k-- > 0;) {
            /* Mostly in the steps, mostly in what is small. */
            size_t at = draw(draw(2) ? (uint32_t)bytes.len : bytes.len < 400 ? bytes.len : 400);
            bytes.data[at] = (char)(draw(2) ? draw(256) : (uint8_t)bytes.data[at] ^ 1u << draw(8));
        }
        void *exact = maker_copy(bytes.data, bytes.len);
        if (molt_recipe_decode(exact, bytes.len, &now, &err) == 0) {
            n_accepted++;
            try_damaged(now);
            molt_recipe_free(now);
        }
        free(exact);
        molt_buf_fini(&bytes);
    }
    assert_true(n_accepted > 0);
    assert_true(n_accepted < DAMAGES);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_recipes_do_what_the_oracle_does),
        cmocka_unit_test(random_recipes_survive_encoding),
        cmocka_unit_test(forwarding_stays_inside_the_new_block),
        cmocka_unit_test(damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
