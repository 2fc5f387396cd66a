/* SPDX-License-Identifier: Apache-2.0
 *
 * Live services: a process each. Their ends come as the kernel tells them. */
#ifndef DURESS_CHAOS_LIVE_SERVICE_H
#define DURESS_CHAOS_LIVE_SERVICE_H

#include "../internal.h"

/* Of the table of functions, whose comments say what they do. */
int chaos__live_service_start(struct chaos_service *service, struct duress_failure *why);
bool chaos__live_service_is_ready(struct chaos_service *service);
void chaos__live_service_crash(struct chaos_service *service, enum chaos_crash how);
void chaos__live_service_stop(struct chaos_service *service);
bool chaos__live_service_freeze(struct chaos_service *service, bool frozen);
void chaos__live_service_free(struct chaos_service *service);

/* Looks whether it has ended, and tells. */
void chaos__live_service_look(struct chaos_service *service);

#endif
