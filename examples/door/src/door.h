/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#ifndef DOOR_H
#define DOOR_H

/* Neither waits. A negative code if there is no door. */
int door_lock(void);
int door_unlock(void);

/* Open it, and wait for that at most @timeout_ms. How often it was opened, or a
 * negative code. */
long door_push(int timeout_ms);

#endif
