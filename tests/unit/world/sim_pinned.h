/* SPDX-License-Identifier: Apache-2.0
 *
 * What test_sim_determinism --print says of these seeds, over 5 s. */
{0, UINT64_C(0x97d4cbe417996cde)}, /* 16758 events */
{1, UINT64_C(0x5387b3f7bfd23550)}, /* 11976 events */
{2, UINT64_C(0x8e97ed05451b50dd)}, /* 15335 events */
{3, UINT64_C(0x7fca59209d8b8c88)}, /* 12315 events */
{4, UINT64_C(0xaa6af500b69c54d6)}, /* 6381 events */
{5, UINT64_C(0x97aebba9199c1525)}, /* 12979 events */
{4294967296, UINT64_C(0xe9c3f5379bd600db)}, /* 7016 events */
