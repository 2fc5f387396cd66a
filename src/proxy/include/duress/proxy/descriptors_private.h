/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DURESS_PROXY_DESCRIPTORS_PRIVATE_H
#define DURESS_PROXY_DESCRIPTORS_PRIVATE_H

#include <stdint.h>

/* Descriptors that this process has open; 0 where they cannot be counted. */
uint64_t duress__descriptors_open(void);

#endif
