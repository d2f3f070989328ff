/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
int b_helper(void);

int b_helper(void)
{
    return 303;
}
