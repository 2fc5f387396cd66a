/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/retry_budget.h>

#include <stddef.h>

#include "option.h"

int duress_retry_budget_init(struct duress_retry_budget *budget, const struct duress_retry_budget_options *options,
                             struct duress_failure *why)
{
    struct duress_retry_budget_options filled = {0};
    if (!duress__option_given("budget", budget, why))
        return DURESS_E_INVALID;
    if (options != NULL)
        filled = *options;
    filled.capacity = option_or_u32(filled.capacity, DURESS_RETRY_BUDGET_CAPACITY_DEFAULT);
    filled.deposit_milli = option_or_u32(filled.deposit_milli, DURESS_RETRY_BUDGET_DEPOSIT_MILLI_DEFAULT);
    if (!duress__option_in_range("retry_budget.capacity", filled.capacity, 1, DURESS_RETRY_BUDGET_CAPACITY_MAX, why) ||
        !duress__option_in_range("retry_budget.deposit_milli", filled.deposit_milli, 1,
                                 DURESS_RETRY_BUDGET_DEPOSIT_MILLI_MAX, why))
        return DURESS_E_INVALID;
    uint64_t capacity_milli = (uint64_t)filled.capacity * DURESS_RETRY_BUDGET_TOKEN_MILLI;
    *budget = (struct duress_retry_budget){
        .tokens_milli = {capacity_milli},
        .capacity_milli = capacity_milli,
        .deposit_milli = filled.deposit_milli,
    };
    return DURESS_OK;
}

void duress_retry_budget_deposit(struct duress_retry_budget *budget)
{
    uint64_t seen = duress__atomic_load(&budget->tokens_milli);
    while (seen < budget->capacity_milli) {
        uint64_t room = budget->capacity_milli - seen;
        uint64_t paid = budget->deposit_milli < room ? budget->deposit_milli : room;
        if (duress__atomic_swap_if(&budget->tokens_milli, &seen, seen + paid))
            return;
    }
}

bool duress_retry_budget_withdraw(struct duress_retry_budget *budget)
{
    uint64_t seen = duress__atomic_load(&budget->tokens_milli);
    while (seen >= DURESS_RETRY_BUDGET_TOKEN_MILLI) {
        if (duress__atomic_swap_if(&budget->tokens_milli, &seen, seen - DURESS_RETRY_BUDGET_TOKEN_MILLI)) {
            (void)duress__atomic_add(&budget->withdrawn, 1);
            return true;
        }
    }
    (void)duress__atomic_add(&budget->refused, 1);
    return false;
}

void duress_retry_budget_snapshot(const struct duress_retry_budget *budget,
                                  struct duress_retry_budget_snapshot *snapshot)
{
    *snapshot = (struct duress_retry_budget_snapshot){
        .tokens_milli = duress__atomic_load(&budget->tokens_milli),
        .withdrawn = duress__atomic_load(&budget->withdrawn),
        .refused = duress__atomic_load(&budget->refused),
    };
}
