/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that does one thing that no kernel should, in ring 0, without anything else in the machine that could stop it. The
 * first letter of its command line says which:
 *
 *	j  runs what lies where no memory is		i  runs the I/O APIC's registers
 *	u  an instruction on a device that KVM cannot do	t  a triple fault
 *	p  reads and writes ports and addresses of all kinds, every width, aligned and not; then t
 *	v  calls the hypervisor with every small number; then t
 *	h  halts, deaf to all interrupts		s  spins
 *	q  INIT, SIPI and interrupts to all others without end	l  the shortest timer period, without end
 *
 * Entered by PVH: 32 bits, flat, no paging, EBX the start info.
 */
	.code32
	.section .note.Xen, "a", @note
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	.text
	.globl	start
start:	cli
	mov	24(%ebx), %esi		/* the command line */
	mov	(%esi), %al
	mov	$0xd0000000, %edi	/* nothing is there */
	cmp	$'j', %al
	je	run
	mov	$0xfec00000, %edi
	cmp	$'i', %al
	je	run
	cmp	$'u', %al
	je	odd
	cmp	$'p', %al
	je	ports
	cmp	$'v', %al
	je	calls
	cmp	$'h', %al
	je	halt
	cmp	$'s', %al
	je	spin
	cmp	$'q', %al
	je	storm
	cmp	$'l', %al
	je	timer

fault:	movl	$0, none
	lidt	none
	int3

run:	jmp	*%edi
halt:	hlt
	jmp	halt
spin:	jmp	spin

odd:	fnsave	0xd0000000
	jmp	fault

ports:	xor	%edx, %edx
1:	mov	%edx, %eax
	and	$~3, %eax
	cmp	$0x600, %eax		/* power */
	je	2f
	cmp	$0x64, %eax		/* the keyboard's reset line */
	je	2f
	cmp	$0xcf8, %eax		/* reset, beside configuration space */
	je	2f
	mov	%edx, %eax
	out	%al, %dx
	out	%ax, %dx
	out	%eax, %dx
	in	%dx, %al
	in	%dx, %ax
	in	%dx, %eax
2:	inc	%edx
	cmp	$0x700, %edx
	jb	1b
	add	$0x1fe, %edx
	cmp	$0x10000, %edx
	jb	1b
	mov	$0xc0000000, %edi	/* all that is not memory */
3:	mov	(%edi), %eax
	mov	%al, (%edi)
	mov	%ax, 1(%edi)
	mov	%eax, 3(%edi)
	mov	%eax, 0xffe(%edi)	/* two pages */
	lock xadd %eax, 8(%edi)
	lock cmpxchg8b 16(%edi)
	add	$0x3fff00, %edi
	cmp	$0xfe000000, %edi
	jb	3b
	mov	$0xc0000000, %esi	/* from one device to another */
	mov	$0xd0000000, %edi
	mov	$64, %ecx
	rep movsb
	jmp	fault

calls:	xor	%esi, %esi
1:	mov	%esi, %eax
	mov	$-1, %ebx
	mov	$-1, %ecx
	mov	$-1, %edx
	vmmcall				/* KVM makes it the CPU's own */
	inc	%esi
	cmp	$500, %esi
	jb	1b
	jmp	fault

storm:	mov	$0xfee00300, %edi
	movl	$0x000c4500, (%edi)	/* INIT */
	movl	$0x000c4608, (%edi)	/* SIPI, page 8 */
	movl	$0x000c0040, (%edi)	/* an interrupt */
	movl	$0x000c0400, (%edi)	/* NMI */
	jmp	storm

timer:	movl	$0x1ff, 0xfee000f0	/* the APIC on */
	movl	$0xb, 0xfee003e0	/* divided by 1 */
	movl	$0x20040, 0xfee00320	/* periodic */
	movl	$1, 0xfee00380
	jmp	spin

	.bss
	.balign	8
none:	.skip	8

	.section .note.GNU-stack, "", @progbits
