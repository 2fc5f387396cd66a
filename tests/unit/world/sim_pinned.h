/* SPDX-License-Identifier: Apache-2.0
 *
 * What test_sim_determinism --print says of these seeds, over 5 s. */
/* clang-format off */
{0, UINT64_C(0x75764a6baee43c51)}, /* 16778 events */
{1, UINT64_C(0x42c9bdb5df4cfa94)}, /* 11821 events */
{2, UINT64_C(0xf6bd6f36779775eb)}, /* 14314 events */
{3, UINT64_C(0xe0b735247c5a9650)}, /* 12313 events */
{4, UINT64_C(0x5b07b34903a58be1)}, /* 6376 events */
{5, UINT64_C(0x8e532c4c7015e828)}, /* 12413 events */
{4294967296, UINT64_C(0x7b847ab0253f1018)}, /* 6954 events */
