// SPDX-License-Identifier: GPL-2.0
/*
 * The table of the truth: a row for each cgroup, found by its id.
 */
#include <linux/hash.h>
#include <linux/rcupdate.h>
#include <linux/vmalloc.h>

#include "books.h"

static struct sim_row *rows;
static u32 nr_rows;
static u32 max_rows;
static u32 *slots;			/* open addressing; 0 is free, else row + 1 */
static unsigned int slot_bits;
static u64 overflows;
static u64 root_id;

static u32 *slot_of(u64 id)
{
	u32 mask = (1U << slot_bits) - 1;
	u32 at = hash_64(id, slot_bits);

	while (slots[at] && rows[slots[at] - 1].id != id)
		at = (at + 1) & mask;
	return &slots[at];
}

static u32 row_of_id(u64 id)
{
	u32 *slot = slot_of(id);

	if (*slot)
		return *slot - 1;
	if (nr_rows == max_rows)
		return SIM_ROW_OVERFLOW;
	memset(&rows[nr_rows], 0, sizeof(*rows));
	rows[nr_rows].id = id;
	*slot = ++nr_rows;
	return nr_rows - 1;
}

u32 sim_row_of_task(struct task_struct *task)
{
	u64 id;
	u32 row;

	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(task));
	rcu_read_unlock();
	if (id == root_id && task->flags & PF_KTHREAD)
		return SIM_ROW_KERNEL;
	row = row_of_id(id);
	if (row == SIM_ROW_OVERFLOW)
		overflows++;
	return row;
}

void sim_cgroup_born(u64 id, const char *path)
{
	size_t length = strlen(path);
	unsigned long flags;
	u32 row;

	if (length >= SIM_PATH)
		path += length - (SIM_PATH - 1);
	raw_spin_lock_irqsave(&sim.lock, flags);
	row = row_of_id(id);
	if (row != SIM_ROW_OVERFLOW)
		strscpy(rows[row].path, path, SIM_PATH);
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

void sim_cgroup_released(u64 id)
{
	unsigned long flags;
	u32 *slot;

	raw_spin_lock_irqsave(&sim.lock, flags);
	slot = slot_of(id);
	if (*slot)
		rows[*slot - 1].released = true;
	raw_spin_unlock_irqrestore(&sim.lock, flags);
}

/* Rows of released cgroups make room; what runs finds its row anew. */
static void drop_released(void)
{
	u32 from, to = SIM_ROW_FIRST;

	memset(slots, 0, sizeof(*slots) << slot_bits);
	for (from = SIM_ROW_FIRST; from < nr_rows; from++) {
		if (rows[from].released)
			continue;
		if (from != to)
			rows[to] = rows[from];
		*slot_of(rows[to].id) = to + 1;
		to++;
	}
	nr_rows = to;
}

void sim_rows_reset(void)
{
	unsigned int at;

	drop_released();
	for (at = 0; at < nr_rows; at++)
		memset(rows[at].use, 0, sizeof(rows[at].use));
	overflows = 0;
}

struct sim_use *sim_row_use(u32 row, unsigned int socket)
{
	return &rows[row].use[socket];
}

size_t sim_rows_bytes(void)
{
	return array_size(max_rows, sizeof(*rows));
}

void sim_rows_copy(struct sim_snapshot *snapshot)
{
	snapshot->overflows = overflows;
	snapshot->nr_rows = nr_rows;
	memcpy(snapshot->rows, rows, nr_rows * sizeof(*rows));
}

int sim_rows_init(unsigned int wanted)
{
	max_rows = clamp(wanted, 64U, 1U << 20) + SIM_ROW_FIRST;
	slot_bits = ilog2(max_rows) + 2;
	rows = vzalloc(sim_rows_bytes());
	slots = vzalloc(sizeof(*slots) << slot_bits);
	if (!rows || !slots) {
		sim_rows_exit();
		return -ENOMEM;
	}
	strscpy(rows[SIM_ROW_KERNEL].path, "kernel", SIM_PATH);
	strscpy(rows[SIM_ROW_OVERFLOW].path, "overflow", SIM_PATH);
	nr_rows = SIM_ROW_FIRST;
	root_id = cgroup_id(&cgrp_dfl_root.cgrp);
	return 0;
}

void sim_rows_exit(void)
{
	vfree(rows);
	vfree(slots);
}
