/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/base/timer_heap.h>

#include <duress/export.h>

void duress__timer_heap_init(struct duress_timer_heap *heap)
{
    *heap = (struct duress_timer_heap){.sequence_next = 1};
}

static bool node_before(const struct duress_timer_node *a, const struct duress_timer_node *b)
{
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns;
    if (a->rank != b->rank)
        return a->rank < b->rank;
    return a->sequence < b->sequence;
}

/* Joins two non-empty trees: the later root becomes the first child of the earlier one. */
static struct duress_timer_node *tree_meld(struct duress_timer_node *a, struct duress_timer_node *b)
{
    struct duress_timer_node *parent = node_before(b, a) ? b : a;
    struct duress_timer_node *child = parent == a ? b : a;
    child->previous = parent;
    child->next = parent->child;
    if (child->next != NULL)
        child->next->previous = child;
    parent->child = child;
    parent->next = NULL;
    parent->previous = parent;
    return parent;
}

/* Joins a list of siblings into one tree: pairs from left to right, then those from right to left. Iterative, as a list
 * may be as long as there are timers. */
static struct duress_timer_node *siblings_meld(struct duress_timer_node *first)
{
    struct duress_timer_node *pairs = NULL; /* a stack through |next| */
    while (first != NULL) {
        struct duress_timer_node *left = first;
        struct duress_timer_node *right = left->next;
        first = right != NULL ? right->next : NULL;
        left->next = NULL;
        struct duress_timer_node *tree = left;
        if (right != NULL) {
            right->next = NULL;
            tree = tree_meld(left, right);
        }
        tree->next = pairs;
        pairs = tree;
    }
    struct duress_timer_node *root = NULL;
    while (pairs != NULL) {
        struct duress_timer_node *tree = pairs;
        pairs = tree->next;
        tree->next = NULL;
        root = root == NULL ? tree : tree_meld(root, tree);
    }
    if (root != NULL)
        root->previous = root;
    return root;
}

void duress__timer_heap_insert(struct duress_timer_heap *heap, struct duress_timer_node *node, uint64_t at_ns,
                               uint64_t rank)
{
    DURESS_ASSERT(node->previous == NULL);
    *node = (struct duress_timer_node){
        .previous = node,
        .at_ns = at_ns,
        .rank = rank,
        .sequence = heap->sequence_next++,
    };
    heap->root = heap->root == NULL ? node : tree_meld(heap->root, node);
    heap->count++;
}

static void node_unlink(struct duress_timer_node *node)
{
    if (node->previous->child == node)
        node->previous->child = node->next;
    else
        node->previous->next = node->next;
    if (node->next != NULL)
        node->next->previous = node->previous;
}

void duress__timer_heap_remove(struct duress_timer_heap *heap, struct duress_timer_node *node)
{
    if (node->previous == NULL)
        return;
    struct duress_timer_node *rest = siblings_meld(node->child);
    if (node == heap->root) {
        heap->root = rest;
    } else {
        node_unlink(node);
        if (rest != NULL)
            heap->root = tree_meld(heap->root, rest);
    }
    node->child = NULL;
    node->next = NULL;
    node->previous = NULL;
    DURESS_ASSERT(heap->count > 0);
    heap->count--;
}

/* Up to the next node that was not seen yet; the left siblings on the way were seen before. */
static struct duress_timer_node *node_after_subtree(const struct duress_timer_heap *heap,
                                                    struct duress_timer_node *node)
{
    while (node != heap->root) {
        if (node->next != NULL)
            return node->next;
        while (node->previous->child != node)
            node = node->previous;
        node = node->previous;
    }
    return NULL;
}

void duress__timer_heap_visit(const struct duress_timer_heap *heap, duress__timer_visit_fn fn, void *context)
{
    struct duress_timer_node *node = heap->root;
    while (node != NULL) {
        fn(context, node);
        node = node->child != NULL ? node->child : node_after_subtree(heap, node);
    }
}
