import { acceptOperation } from '../../../../http/accept-operation';
import { cleanupTestFailover } from '../../../../http/endpoints/volumes';
import { serve } from '../../../../http/serve';

export default serve(cleanupTestFailover, (request) => {
  const { volume_id, test_vm_id, oma_vm_id, delete_vm, force_clean } = request.body;
  return acceptOperation(request, 'cleanup', {
    volume_id,
    test_vm_id,
    oma_vm_id,
    delete_vm: delete_vm ?? false,
    force_clean: force_clean ?? false,
  });
});
