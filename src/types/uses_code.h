/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Which instructions use a word of the GOT, by CPU.
 *
 * Threads: pure.
 */
#ifndef MOLT_TYPES_USES_CODE_H
#define MOLT_TYPES_USES_CODE_H

#include <stdint.h>

struct molt_uses_scan {
    uint64_t slot;   /* address of the GOT word */
    uint64_t call;   /* of the first call or jump through it, 0: none */
    uint64_t access; /* of the first other use, 0: none */
};

/* Look through code, @len bytes at address @addr, and fill what is 0. */
void molt_uses_scan_x86_64(struct molt_uses_scan *scan, uint64_t addr, const uint8_t *bytes,
                           uint64_t len);
void molt_uses_scan_aarch64(struct molt_uses_scan *scan, uint64_t addr, const uint8_t *bytes,
                            uint64_t len);

#endif
