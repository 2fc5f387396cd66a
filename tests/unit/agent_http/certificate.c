/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char *file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 16384);
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, 16383, file) > 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

void certificate_make(struct certificate *made, const char *name)
{
    char command[512];
    (void)snprintf(made->folder, sizeof made->folder, "/tmp/duress-tls-XXXXXX");
    assert_non_null(mkdtemp(made->folder));
    (void)snprintf(made->certificate_file, sizeof made->certificate_file, "%s/certificate.pem", made->folder);
    (void)snprintf(made->key_file, sizeof made->key_file, "%s/key.pem", made->folder);
    (void)snprintf(command, sizeof command,
                   "openssl req -x509 -newkey rsa:2048 -nodes -keyout %s -out %s -days 2 -subj /CN=%s "
                   "-addext subjectAltName=DNS:%s >/dev/null 2>&1",
                   made->key_file, made->certificate_file, name, name);
    assert_int_equal(system(command), 0);
    made->certificate = file_read(made->certificate_file);
    made->key = file_read(made->key_file);
}

void certificate_free(struct certificate *made)
{
    (void)unlink(made->certificate_file);
    (void)unlink(made->key_file);
    (void)rmdir(made->folder);
    free(made->certificate);
    free(made->key);
}
