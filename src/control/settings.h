/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The app's configuration inside the host: what molt_config() answers from.
 * A value that was handed out stays where it is until the settings are freed,
 * also when the key gets another value.
 *
 * Threads: any.
 * Locks:   molt_settings.lock; nothing nests in it.
 */
#ifndef MOLT_CONTROL_SETTINGS_H
#define MOLT_CONTROL_SETTINGS_H

#include <molt/error.h>

#define MOLT_SETTINGS_MAX 4096 /* values ever set in one host */

struct molt_settings;

int molt_settings_new(struct molt_settings **ret);
void molt_settings_free(struct molt_settings *settings);

/* Both strings are copied. MOLT_EINVAL: empty key; MOLT_ELIMIT; MOLT_ENOMEM. */
int molt_settings_set(struct molt_settings *settings, const char *key, const char *value);

/* A molt_config_fn: @settings is the user pointer. NULL if unset. */
const char *molt_settings_get(void *settings, const char *key);

/* How long an orderly stop may take: @value of the key stop_ms, in milliseconds;
 * 5000 if it is NULL or no number from 0 to 600000. */
int molt_settings_stop_ms(const char *value);

#endif
