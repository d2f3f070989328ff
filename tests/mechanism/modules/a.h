/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Public header of module a; VERSION is 1 or 2. Threads: any. */
#ifndef MECHANISM_A_H
#define MECHANISM_A_H

typedef int which_fn(void);

struct pair { /* returned in two registers, one of each kind */
    long x;
    double y;
};

struct big { /* returned in memory */
    long v[6];
};

which_fn a_which;       /* VERSION */
which_fn a_which_here;  /* a_which(), called in its own file */
which_fn a_which_there; /* a_more(), defined in the module's other file */
which_fn a_more;        /* VERSION */

which_fn *a_address(void);      /* a_which's, as its own file sees it */
which_fn *a_more_address(void); /* a_which's, as the other file sees it */
which_fn *const *a_table(void); /* constant data: a_which, b_calls_a */

which_fn *a_local(void);        /* a static function's: VERSION */
which_fn *a_local_caller(void); /* a static function's that calls a_which() */

/* Every argument weighs in, so that a lost or swapped one shows. */
long a_ints(int a, long b, const char *c, short d, unsigned char e, void *f, int g, long h, int *i);
double a_doubles(double a, float b, double c, double d, double e, double f, double g, double h,
                 double i, float j);
struct pair a_pair(struct pair in, int k);
struct big a_big(struct big in, int k);
double a_sum(int n, ...); /* of n doubles */
long double a_long_double(long double x);

#endif
