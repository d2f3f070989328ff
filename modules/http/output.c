/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "output.h"

#include <stdint.h>
#include <string.h>

#include <molt/molt.h>
#include <molt/net.h>

void molt_http_output_init(struct http_output *out, char *lent, size_t cap)
{
    *out = (struct http_output){.data = lent, .cap = cap};
}

void molt_http_output_fini(struct http_output *out)
{
    if (out->is_block)
        molt_free(out->data);
    *out = (struct http_output){0};
}

int molt_http_output_reserve(struct http_output *out, size_t n)
{
    if (n <= out->cap - out->len)
        return 0;
    size_t used = out->len - out->at;
    if (n > SIZE_MAX / 2 - used)
        return MOLT_ENOMEM;
    size_t cap = 2 * out->cap > used + n ? 2 * out->cap : used + n;
    char *data = molt_new_array(char, cap);
    if (!data)
        return MOLT_ENOMEM;
    memcpy(data, out->data + out->at, used);
    if (out->is_block)
        molt_free(out->data);
    *out = (struct http_output){.data = data, .len = used, .cap = cap, .is_block = true};
    return 0;
}

int molt_http_output_add(struct http_output *out, const void *bytes, size_t n)
{
    int rc = molt_http_output_reserve(out, n);
    if (rc < 0)
        return rc;
    if (n > 0)
        memcpy(out->data + out->len, bytes, n);
    out->len += n;
    return 0;
}

int molt_http_output_flush(struct http_output *out, int fd, size_t *ret_written)
{
    while (out->at < out->len) {
        long n = molt_net_write(fd, out->data + out->at, out->len - out->at, 0);
        if (n <= 0)
            return n < 0 ? (int)n : MOLT_EBUSY;
        out->at += (size_t)n;
        if (ret_written)
            *ret_written += (size_t)n;
    }
    out->at = out->len = 0;
    return 0;
}
