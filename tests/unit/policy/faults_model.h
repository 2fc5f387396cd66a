/* SPDX-License-Identifier: Apache-2.0
 *
 * Fault injection told plainly: a list of what each call gets, written out ahead; and an urn with a million balls. */
#ifndef FAULTS_MODEL_H
#define FAULTS_MODEL_H

#include <duress/policy/faults.h>

enum { FAULTS_MODEL_CALLS = 24 };

/* Writes out what the first FAULTS_MODEL_CALLS calls get where no chance is in play. */
void faults_model_schedule(const struct duress_faults_options *options, enum duress_fault faults[FAULTS_MODEL_CALLS]);

/* The ball that is drawn as number |index| of an urn filled as |options|->ppm says. */
enum duress_fault faults_model_ball(const struct duress_faults_options *options, uint64_t index);

#endif
