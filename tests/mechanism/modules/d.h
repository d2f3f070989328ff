/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Public header of module d, which carries its views: what the module itself
 * takes the address of each export to be, as data and as code, one table per
 * translation unit. Threads: any.
 */
#ifndef MECHANISM_D_H
#define MECHANISM_D_H

int d_first(void);
int d_second(void);
int d_calls(void);

struct view {
    void *(*code)(void); /* the address as an instruction forms it */
    void *data;          /* the address as a relocation forms it */
};

/* What the build would append to each unit that sees the export's declaration. */
#define VIEW(f)                                                                                    \
    static void *view_code_##f(void)                                                               \
    {                                                                                              \
        return (void *)(f);                                                                        \
    }                                                                                              \
    static const struct view view_##f                                                              \
        __attribute__((used, section("molt_views"), aligned(8))) = {view_code_##f, (void *)(f)}

struct views {
    const struct view *first, *end;
};

#endif
