/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "loop_private.h"

int duress__error_from_errno(int number)
{
    switch (number) {
    case 0:
        return DURESS_OK;
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case EINPROGRESS:
        return DURESS_E_AGAIN;
    case ECONNREFUSED:
    case ENOENT: /* a Unix socket whose file is not there */
        return DURESS_E_REFUSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENONET:
        return DURESS_E_UNREACHABLE;
    case ETIMEDOUT:
        return DURESS_E_CONNECT_TIMEOUT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return DURESS_E_RESET;
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC: /* of the epoll set */
        return DURESS_E_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return DURESS_E_NO_DESCRIPTORS;
    case EADDRINUSE:
        return DURESS_E_ADDRESS_IN_USE;
    case EADDRNOTAVAIL:
        return DURESS_E_ADDRESS_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case EROFS:
        return DURESS_E_PERMISSION;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
        return DURESS_E_UNSUPPORTED;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
        return DURESS_E_INVALID;
    default:
        return DURESS_E_SYSTEM;
    }
}
