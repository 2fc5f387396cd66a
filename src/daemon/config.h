/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration file: what a body of /populate may be, in JSON or in YAML. Private to daemon/. */
#ifndef DURESS_DAEMON_CONFIG_H
#define DURESS_DAEMON_CONFIG_H

#include <stdbool.h>

#include <duress/wire/buffer.h>

#define CONFIG_BYTES_MAX (64 * 1024 * 1024)
#define CONFIG_WHY_BYTES_MAX 512

/* Reads |path| ("-": standard input) into |content| as JSON. A file whose name ends in .yaml or .yml is YAML; so is
 * standard input that does not begin as JSON does. False with the reason. */
bool duress__config_read(const char *path, struct duress_buffer *content, char why[CONFIG_WHY_BYTES_MAX]);

/* Reads all of a file. False with the reason. */
bool duress__file_read(const char *path, struct duress_buffer *content, char why[CONFIG_WHY_BYTES_MAX]);

/* Turns YAML into JSON of the same meaning. False with the reason: what it is, and in which line. */
bool duress__config_yaml(struct duress_slice yaml, struct duress_buffer *json, char why[CONFIG_WHY_BYTES_MAX]);

#endif
