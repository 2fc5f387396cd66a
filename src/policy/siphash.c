/* SPDX-License-Identifier: Apache-2.0 */
#include "siphash.h"

static uint64_t rotate_left(uint64_t value, unsigned count)
{
    return (value << count) | (value >> (64 - count));
}

static void siphash_round(uint64_t *v)
{
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

static void siphash_compress(struct siphash *hash, uint64_t word)
{
    hash->v[3] ^= word;
    siphash_round(hash->v);
    siphash_round(hash->v);
    hash->v[0] ^= word;
}

void duress__siphash_init(struct siphash *hash, const uint64_t key[2])
{
    *hash = (struct siphash){
        .v =
            {
                key[0] ^ UINT64_C(0x736f6d6570736575),
                key[1] ^ UINT64_C(0x646f72616e646f6d),
                key[0] ^ UINT64_C(0x6c7967656e657261),
                key[1] ^ UINT64_C(0x7465646279746573),
            },
    };
}

/* The same on machines of either byte order. */
static uint64_t word_of(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

void duress__siphash_word(struct siphash *hash, uint64_t word)
{
    unsigned filled = (unsigned)(hash->length % 8) * 8;
    hash->length += 8;
    siphash_compress(hash, filled == 0 ? word : hash->tail | word << filled);
    hash->tail = filled == 0 ? 0 : word >> (64 - filled);
}

void duress__siphash_bytes(struct siphash *hash, struct duress_slice bytes)
{
    size_t at = 0;
    for (; bytes.length - at >= 8; at += 8)
        duress__siphash_word(hash, word_of(bytes.data + at));
    for (; at < bytes.length; at++) {
        hash->tail |= (uint64_t)bytes.data[at] << (hash->length % 8 * 8);
        if (++hash->length % 8 == 0) {
            siphash_compress(hash, hash->tail);
            hash->tail = 0;
        }
    }
}

uint64_t duress__siphash_end(struct siphash *hash)
{
    siphash_compress(hash, hash->tail | hash->length << 56);
    hash->v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        siphash_round(hash->v);
    return hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
}
