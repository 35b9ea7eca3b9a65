import { readVolumeEvidence } from '../../../../../http/endpoints/volumes';
import { volumeEvidenceReply } from '../../../../../http/response/volume-evidence-reply';
import { serve } from '../../../../../http/serve';

export default serve(readVolumeEvidence, async ({ daemon, params }) =>
  volumeEvidenceReply(await daemon.volumes.evidence(params.id)),
);
