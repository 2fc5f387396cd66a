/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for tests of TLS: openssl(1) makes them when a test begins, so that none is ever out of date. */
#ifndef DURESS_TESTS_CERTIFICATE_H
#define DURESS_TESTS_CERTIFICATE_H

struct certificate {
    char folder[32];
    char certificate_file[64]; /* signed by itself: whoever trusts it takes it as the authority too */
    char key_file[64];
    char *certificate; /* the text of both, PEM */
    char *key;
};

/* For the host |name|. Fails the test where openssl(1) does. */
void certificate_make(struct certificate *made, const char *name);
/* Takes the files away again. */
void certificate_free(struct certificate *made);

#endif
