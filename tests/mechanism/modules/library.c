/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A library that knows nothing of molt, with a log_init of its own. */
int log_init(void);
int library_start(void);

int log_init(void)
{
    return 401;
}

int library_start(void)
{
    return log_init();
}
