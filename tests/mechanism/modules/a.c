/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "a.h"

#include <stdarg.h>

#include "b.h"

/* Volatile: what the callee returns must come from a call, not from what the
 * compiler knows about it. */
static volatile int version = VERSION;

int __attribute__((noinline)) a_which(void)
{
    return version;
}

int a_which_here(void)
{
    return a_which();
}

int a_which_there(void)
{
    return a_more();
}

which_fn *a_address(void)
{
    return a_which;
}

which_fn *const *a_table(void)
{
    static which_fn *const table[] = {a_which, b_calls_a};
    return table;
}

static int local(void)
{
    return version;
}

static int local_caller(void)
{
    return a_which();
}

which_fn *a_local(void)
{
    return local;
}

which_fn *a_local_caller(void)
{
    return local_caller;
}

long a_ints(int a, long b, const char *c, short d, unsigned char e, void *f, int g, long h, int *i)
{
    return a + 2 * b + 3 * c[0] + 4 * d + 5 * e + 6 * *(int *)f + 7 * g + 8 * h + 9 * *i;
}

double a_doubles(double a, float b, double c, double d, double e, double f, double g, double h,
                 double i, float j)
{
    return a + 2 * (double)b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i +
           10 * (double)j;
}

struct pair a_pair(struct pair in, int k)
{
    return (struct pair){in.x * k, in.y * k};
}

struct big a_big(struct big in, int k)
{
    for (int i = 0; i < 6; i++)
        in.v[i] *= k + i;
    return in;
}

double a_sum(int n, ...)
{
    double sum = 0;
    va_list ap;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        sum += va_arg(ap, double);
    va_end(ap);
    return sum;
}

long double a_long_double(long double x)
{
    return 2 * x;
}
