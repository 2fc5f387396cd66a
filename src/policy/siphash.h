/* SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a hash of bytes under a secret key of
 * 128 bits. Who does not know the key cannot make inputs collide on purpose, which is what a table of keys that come
 * from outside needs. Fed piece by piece; only all bytes together count, not where the pieces end. */
#ifndef DURESS_POLICY_SIPHASH_H
#define DURESS_POLICY_SIPHASH_H

#include <stdint.h>

#include <duress/slice.h>

struct siphash {
    uint64_t v[4];
    uint64_t tail; /* the bytes that make no whole word yet, lowest first */
    uint64_t length;
};

void duress__siphash_init(struct siphash *hash, const uint64_t key[2]);
void duress__siphash_word(struct siphash *hash, uint64_t word); /* eight bytes, lowest first */
void duress__siphash_bytes(struct siphash *hash, struct duress_slice bytes);
uint64_t duress__siphash_end(struct siphash *hash);

#endif
