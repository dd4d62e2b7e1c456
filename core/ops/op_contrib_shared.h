/* Operators of com.microsoft that have files of their own; their lines stand in op_contrib.c. */
#ifndef MC_CORE_OPS_OP_CONTRIB_SHARED_H
#define MC_CORE_OPS_OP_CONTRIB_SHARED_H

#include "core/op.h"

/* MatMulNBits, GatherBlockQuantized (op_contrib_nbits.c). */
mc_status mc_nbits_shape(const mc_call *call, mc_err *err);
mc_status mc_nbits_run(const mc_call *call, mc_err *err);
size_t mc_nbits_scratch(const mc_call *call);
mc_status mc_gather_blocks_shape(const mc_call *call, mc_err *err);
mc_status mc_gather_blocks_run(const mc_call *call, mc_err *err);

/* QAttention (op_contrib_attention.c). */
mc_status mc_qattention_shape(const mc_call *call, mc_err *err);
mc_status mc_qattention_run(const mc_call *call, mc_err *err);
size_t mc_qattention_scratch(const mc_call *call);

/* FusedMatMul, FusedGemm, FusedConv (op_contrib_fused.c). */
mc_status mc_fused_matmul_shape(const mc_call *call, mc_err *err);
mc_status mc_fused_matmul_run(const mc_call *call, mc_err *err);
size_t mc_fused_matmul_scratch(const mc_call *call);
mc_status mc_fused_gemm_shape(const mc_call *call, mc_err *err);
mc_status mc_fused_gemm_run(const mc_call *call, mc_err *err);
size_t mc_fused_gemm_scratch(const mc_call *call);
mc_status mc_fused_conv_shape(const mc_call *call, mc_err *err);
mc_status mc_fused_conv_run(const mc_call *call, mc_err *err);
size_t mc_fused_conv_scratch(const mc_call *call);

#endif
