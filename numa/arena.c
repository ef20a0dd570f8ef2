#include "numa/arena.h"

#include "numa/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { HUGE_BYTES = 2 << 20, NODES_MAX = 1024, LONG_BITS = 8 * sizeof(unsigned long) };

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static uint8_t *map(size_t bytes, int flags)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
		-1, 0);
	return base == MAP_FAILED ? NULL : base;
}

// Like map(), but aligned to a huge page, so that the kernel can use transparent ones throughout.
static uint8_t *map_aligned(size_t bytes)
{
	uint8_t *wide = map(bytes + HUGE_BYTES, 0);
	if (!wide)
		return NULL;
	uint8_t *base = (uint8_t *)round_up((uintptr_t)wide, HUGE_BYTES);
	if (base > wide)
		munmap(wide, base - wide);
	munmap(base + bytes, wide + HUGE_BYTES - base);
	return base;
}

// Prefer the node, rather than insist: a node that runs out must slow the job, not kill it.
// A kernel without NUMA, or a sandbox that forbids the call, has one place to take memory from.
static int bind_node(void *base, size_t bytes, int node)
{
	unsigned long mask[NODES_MAX / LONG_BITS] = {0};
	if (node < 0)
		return 0;
	if (node >= NODES_MAX)
		return -EINVAL;
	mask[node / LONG_BITS] = 1ul << node % LONG_BITS;
	if (syscall(SYS_mbind, base, bytes, MPOL_PREFERRED, mask, (long)NODES_MAX + 1, 0) == 0)
		return 0;
	return errno == ENOSYS || errno == EPERM ? 0 : -errno;
}

// Kernels before 5.14 cannot populate and report; there every page is touched.
static int prefault(uint8_t *base, size_t bytes)
{
	if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return errno == EFAULT ? -ENOMEM : -errno;
	size_t page = sysconf(_SC_PAGESIZE);
	for (size_t at = 0; at < bytes; at += page)
		*(volatile uint8_t *)(base + at) = 0;
	return 0;
}

static bool transparent_enabled(void)
{
	char text[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	return got > 0 && !strstr(text, "[never]");
}

static uint8_t *map_pages(enum arena_pages pages, size_t bytes)
{
	switch (pages) {
	case ARENA_PAGES_HUGE:
		return map(bytes, MAP_HUGETLB | MAP_HUGE_2MB);
	case ARENA_PAGES_TRANSPARENT:
		return transparent_enabled() ? map_aligned(bytes) : NULL;
	case ARENA_PAGES_SMALL:
		return map(bytes, 0);
	}
	return NULL;
}

// One attempt with one kind of page; nothing stays mapped when it fails.
static int try_pages(struct arena *arena, enum arena_pages pages, size_t bytes, int node, bool lazy)
{
	uint8_t *base = map_pages(pages, bytes);
	if (!base)
		return -ENOMEM;
	int rc = bind_node(base, bytes, node);
	if (!rc && pages == ARENA_PAGES_TRANSPARENT && madvise(base, bytes, MADV_HUGEPAGE))
		rc = -errno;
	if (!rc && !lazy)
		rc = prefault(base, bytes);
	if (rc) {
		munmap(base, bytes);
		return rc;
	}
	*arena = (struct arena){.base = base, .bytes = bytes, .pages = pages, .node = node};
	return 0;
}

int arena_create(struct arena *arena, size_t bytes, int node, bool lazy)
{
	if (bytes == 0 || bytes > SIZE_MAX / 2)
		return -EINVAL;
	if (bytes >= HUGE_BYTES) {
		size_t whole = round_up(bytes, HUGE_BYTES);
		if (!try_pages(arena, ARENA_PAGES_HUGE, whole, node, lazy) ||
			!try_pages(arena, ARENA_PAGES_TRANSPARENT, whole, node, lazy))
			return 0;
	}
	return try_pages(arena, ARENA_PAGES_SMALL, round_up(bytes, sysconf(_SC_PAGESIZE)), node,
		lazy);
}

uint64_t arena_available_bytes(void)
{
	uint64_t available = 0, free_pages = 0, page = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "MemAvailable: %" SCNu64, &available);
		sscanf(line, "HugePages_Free: %" SCNu64, &free_pages);
		sscanf(line, "Hugepagesize: %" SCNu64, &page);
	}
	if (f != NULL)
		fclose(f);
	return (available + free_pages * page) << 10;
}

void arena_destroy(struct arena *arena)
{
	if (!arena || !arena->base)
		return;
	munmap(arena->base, arena->bytes);
	*arena = (struct arena){.node = -1};
}

void *arena_alloc(struct arena *arena, size_t bytes, size_t align)
{
	VERIFY(!arena->sealed);
	VERIFY(align > 0 && (align & (align - 1)) == 0);
	ASSERT(arena->used <= arena->bytes);
	uintptr_t next = (uintptr_t)arena->base + arena->used;
	size_t skip = -next & (align - 1);
	size_t left = arena->bytes - arena->used;
	if (!arena->base || skip > left || bytes > left - skip)
		return NULL;
	arena->used += skip + bytes;
	return arena->base + arena->used - bytes;
}

void arena_seal(struct arena *arena)
{
	arena->sealed = true;
}
