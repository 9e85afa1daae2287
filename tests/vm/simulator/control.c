// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs: the truth, the parameters and the faults. README.md has the formats.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "sim.h"

#define FORMAT_VERSION	1
#define COMMAND_BYTES	128

static struct dentry *directory;
/* A parameter is read, changed and written back. */
static DEFINE_MUTEX(parameters);

static void print_fj(struct seq_file *file, const struct sim_energy *energy)
{
	if (energy->nj)
		seq_printf(file, "\t%llu%06u", energy->nj, energy->fj);
	else
		seq_printf(file, "\t%u", energy->fj);
}

static void print_parts(struct seq_file *file, const struct sim_energy parts[SIM_PARTS])
{
	int part;

	for (part = 0; part < SIM_PARTS; part++)
		print_fj(file, &parts[part]);
}

static void print_head(struct seq_file *file, const struct sim_snapshot *snapshot)
{
	unsigned int at;

	seq_printf(file, "version\t%d\n", FORMAT_VERSION);
	seq_printf(file, "time\t%llu\n", snapshot->time_ns);
	seq_printf(file, "overflows\t%llu\n", snapshot->overflows);
	for (at = 0; at < snapshot->nr_cpus; at++) {
		const struct sim_cpu_truth *cpu = &snapshot->cpus[at];

		seq_printf(file, "cpu\t%u\t%d\t%llu\t%llu\t%llu\n", cpu->cpu, cpu->package,
			   cpu->busy_ns, cpu->idle_ns, cpu->offline_ns);
	}
	for (at = 0; at < snapshot->nr_sockets; at++) {
		const struct sim_socket *socket = &snapshot->sockets[at];

		seq_printf(file, "total\t%d", socket->package);
		print_parts(file, socket->total_truth);
		seq_printf(file, "\nidle\t%d", socket->package);
		print_parts(file, socket->idle_truth);
		seq_putc(file, '\n');
	}
	seq_puts(file, "psys");
	print_fj(file, &snapshot->psys.total_truth);
	print_fj(file, &snapshot->psys.constant_truth);
	seq_putc(file, '\n');
}

static void print_row(struct seq_file *file, const struct sim_snapshot *snapshot, unsigned int at)
{
	static const char *const kinds[] = { "kernel", "overflow" };
	const struct sim_row *row = &snapshot->rows[at];
	unsigned int socket;

	for (socket = 0; socket < snapshot->nr_sockets; socket++) {
		const struct sim_use *use = &row->use[socket];

		if (!use->cpu_ns)
			continue;
		seq_printf(file, "%s\t%llu\t%d\t%llu\t%llu",
			   at < SIM_ROW_FIRST ? kinds[at] : row->released ? "released" : "cgroup",
			   row->id, snapshot->sockets[socket].package, use->cpu_ns, use->overlap_ns);
		print_parts(file, use->part);
		seq_printf(file, "\t%s\n", row->path);
	}
}

/* Position 0 is the head, position n row n - 1. */
static void *truth_start(struct seq_file *file, loff_t *position)
{
	const struct sim_snapshot *snapshot = file->private;

	return *position <= snapshot->nr_rows ? position : NULL;
}

static void *truth_next(struct seq_file *file, void *at, loff_t *position)
{
	++*position;
	return truth_start(file, position);
}

static void truth_stop(struct seq_file *file, void *at)
{
}

static int truth_show(struct seq_file *file, void *at)
{
	const struct sim_snapshot *snapshot = file->private;
	loff_t position = *(loff_t *)at;

	if (position == 0)
		print_head(file, snapshot);
	else
		print_row(file, snapshot, position - 1);
	return 0;
}

static const struct seq_operations truth_sequence = {
	.start = truth_start,
	.next = truth_next,
	.stop = truth_stop,
	.show = truth_show,
};

/* Each opening is one instant. */
static int truth_open(struct inode *inode, struct file *file)
{
	struct sim_snapshot *snapshot = sim_snapshot();
	int error;

	if (!snapshot)
		return -ENOMEM;
	error = seq_open(file, &truth_sequence);
	if (error)
		sim_snapshot_free(snapshot);
	else
		((struct seq_file *)file->private_data)->private = snapshot;
	return error;
}

static int truth_release(struct inode *inode, struct file *file)
{
	sim_snapshot_free(((struct seq_file *)file->private_data)->private);
	return seq_release(inode, file);
}

static const struct file_operations truth_file = {
	.owner = THIS_MODULE,
	.open = truth_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = truth_release,
};

/* Runs one command: words separated by single spaces. */
static ssize_t run_command(const char __user *from, size_t length, int (*run)(char *command))
{
	char command[COMMAND_BYTES];
	int error;

	if (length >= sizeof(command))
		return -E2BIG;
	if (copy_from_user(command, from, length))
		return -EFAULT;
	command[length] = '\0';
	error = run(strim(command));
	return error ? error : length;
}

static ssize_t reset_write(struct file *file, const char __user *from, size_t length,
			   loff_t *position)
{
	sim_reset_truth();
	return length;
}

static const struct file_operations reset_file = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = reset_write,
	.llseek = noop_llseek,
};

static int run_fault(char *command)
{
	const char *verb = strsep(&command, " ");
	const char *path = strsep(&command, " ");
	int zone = path ? sim_zone_find(path) : -EINVAL;
	s64 uj;

	if (zone < 0)
		return zone;
	if (!strcmp(verb, "jump"))
		return command && !kstrtos64(command, 10, &uj) ? (sim_zone_jump(zone, uj), 0) : -EINVAL;
	if (!strcmp(verb, "eio")) {
		bool on = command && !strcmp(command, "on");

		if (!on && (!command || strcmp(command, "off")))
			return -EINVAL;
		sim_zone_fail(zone, on);
		return 0;
	}
	if (command)
		return -EINVAL;
	if (!strcmp(verb, "vanish"))
		return sim_zone_vanish(zone);
	if (!strcmp(verb, "return"))
		return sim_zone_return(zone);
	if (strcmp(verb, "reset"))
		return -EINVAL;
	sim_zone_reset(zone);
	return 0;
}

static ssize_t fault_write(struct file *file, const char __user *from, size_t length,
			   loff_t *position)
{
	return run_command(from, length, run_fault);
}

static const struct file_operations fault_file = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = fault_write,
	.llseek = noop_llseek,
};

/* Parameters of a socket and of a zone, by the place of their value. */
struct parameter {
	const char *name;
	size_t at;
};

static const struct parameter socket_parameters[] = {
	{ "idle_uw", offsetof(struct sim_price, idle_uw) },
	{ "busy_uw", offsetof(struct sim_price, busy_uw) },
	{ "dram_idle_uw", offsetof(struct sim_price, dram_idle_uw) },
	{ "dram_busy_uw", offsetof(struct sim_price, dram_busy_uw) },
	{ "core_per_mille", offsetof(struct sim_price, core_per_mille) },
};

static const struct parameter zone_parameters[] = {
	{ "range_uj", offsetof(struct sim_zone_values, range_uj) },
	{ "max_power_uw", offsetof(struct sim_zone_values, max_power_uw) },
	{ "power_limit_uw", offsetof(struct sim_zone_values, power_limit_uw) },
};

static int set_machine(const char *name, const char *text)
{
	u32 smt_per_mille, psys_uw;
	u32 value;

	if (kstrtou32(text, 10, &value))
		return -EINVAL;
	sim_smt(&smt_per_mille, &psys_uw);
	if (!strcmp(name, "psys_uw")) {
		psys_uw = value;
	} else if (!strcmp(name, "smt_per_mille")) {
		if (value > 1000)
			return -ERANGE;
		smt_per_mille = value;
	} else {
		return -EINVAL;
	}
	sim_set_smt(smt_per_mille, psys_uw);
	return 0;
}

static int set_socket(const struct parameter *parameter, const char *package, const char *text)
{
	struct sim_price price;
	int id, socket;
	u32 value;

	if (kstrtoint(package, 10, &id) || kstrtou32(text, 10, &value))
		return -EINVAL;
	socket = sim_socket_of_package(id);
	if (socket < 0)
		return socket;
	price = sim_price(socket);
	*(u32 *)((char *)&price + parameter->at) = value;
	if (price.core_per_mille > 1000)
		return -ERANGE;
	sim_set_price(socket, &price);
	return 0;
}

static int set_zone(const struct parameter *parameter, const char *path, const char *text)
{
	int zone = sim_zone_find(path);
	struct sim_zone_values values;
	u64 value;

	if (zone < 0)
		return zone;
	if (kstrtou64(text, 10, &value))
		return -EINVAL;
	values = sim_zone_values(zone);
	*(u64 *)((char *)&values + parameter->at) = value;
	return sim_zone_set_values(zone, &values);
}

static int set_parameter(char *command)
{
	const char *name = strsep(&command, " ");
	const char *where = strsep(&command, " ");
	unsigned int at;

	if (!where)
		return -EINVAL;
	if (!command)
		return set_machine(name, where);
	for (at = 0; at < ARRAY_SIZE(socket_parameters); at++)
		if (!strcmp(name, socket_parameters[at].name))
			return set_socket(&socket_parameters[at], where, command);
	for (at = 0; at < ARRAY_SIZE(zone_parameters); at++)
		if (!strcmp(name, zone_parameters[at].name))
			return set_zone(&zone_parameters[at], where, command);
	return -EINVAL;
}

static int set_parameter_locked(char *command)
{
	int error;

	mutex_lock(&parameters);
	error = set_parameter(command);
	mutex_unlock(&parameters);
	return error;
}

static ssize_t parameters_write(struct file *file, const char __user *from, size_t length,
				loff_t *position)
{
	return run_command(from, length, set_parameter_locked);
}

static int parameters_show(struct seq_file *file, void *unused)
{
	u32 smt_per_mille, psys_uw;
	unsigned int of, at;

	sim_smt(&smt_per_mille, &psys_uw);
	seq_printf(file, "smt_per_mille %u\npsys_uw %u\n", smt_per_mille, psys_uw);
	for (of = 0; of < sim_nr_sockets(); of++) {
		struct sim_price price = sim_price(of);

		for (at = 0; at < ARRAY_SIZE(socket_parameters); at++)
			seq_printf(file, "%s %d %u\n", socket_parameters[at].name, sim_package(of),
				   *(u32 *)((char *)&price + socket_parameters[at].at));
	}
	for (of = 0; of < sim_nr_zones(); of++) {
		struct sim_zone_values values = sim_zone_values(of);

		for (at = 0; at < ARRAY_SIZE(zone_parameters); at++)
			seq_printf(file, "%s %s %llu\n", zone_parameters[at].name, sim_zone_path(of),
				   *(u64 *)((char *)&values + zone_parameters[at].at));
	}
	return 0;
}

static int parameters_open(struct inode *inode, struct file *file)
{
	return single_open(file, parameters_show, NULL);
}

static const struct file_operations parameters_file = {
	.owner = THIS_MODULE,
	.open = parameters_open,
	.read = seq_read,
	.write = parameters_write,
	.llseek = seq_lseek,
	.release = single_release,
};

int sim_control_init(void)
{
	directory = debugfs_create_dir("wattrace_sim", NULL);
	if (IS_ERR(directory)) {
		pr_err("wattrace_sim: no debugfs: %ld\n", PTR_ERR(directory));
		return PTR_ERR(directory);
	}
	debugfs_create_file("truth", 0400, directory, NULL, &truth_file);
	debugfs_create_file("reset", 0200, directory, NULL, &reset_file);
	debugfs_create_file("fault", 0200, directory, NULL, &fault_file);
	debugfs_create_file("parameters", 0600, directory, NULL, &parameters_file);
	return 0;
}

void sim_control_exit(void)
{
	debugfs_remove_recursive(directory);
}
