//! The operations that a context source supports (4.20).

/// An operation of the specification by the name that registrations use (4.20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    CreateEntity,
    UpdateEntity,
    AppendAttrs,
    UpdateAttrs,
    DeleteAttrs,
    DeleteEntity,
    MergeEntity,
    ReplaceEntity,
    ReplaceAttrs,
    PurgeEntity,
    CreateBatch,
    UpsertBatch,
    UpdateBatch,
    DeleteBatch,
    MergeBatch,
    UpsertTemporal,
    AppendAttrsTemporal,
    DeleteAttrsTemporal,
    UpdateAttrInstanceTemporal,
    DeleteAttrInstanceTemporal,
    DeleteTemporal,
    RetrieveEntity,
    QueryEntity,
    QueryBatch,
    RetrieveTemporal,
    QueryTemporal,
    RetrieveEntityTypes,
    RetrieveEntityTypeDetails,
    RetrieveEntityTypeInfo,
    RetrieveAttrTypes,
    RetrieveAttrTypeDetails,
    RetrieveAttrTypeInfo,
    CreateSubscription,
    UpdateSubscription,
    RetrieveSubscription,
    QuerySubscription,
    DeleteSubscription,
    RetrieveEntityMap,
    UpdateEntityMap,
    DeleteEntityMap,
    CreateEntityMapQueryEntity,
    CreateEntityMapQueryTemporal,
    RetrieveContextSourceIdentity,
}

impl Operation {
    /// Every operation, in the order of 4.20.
    pub const ALL: [Operation; 43] = [
        Operation::CreateEntity,
        Operation::UpdateEntity,
        Operation::AppendAttrs,
        Operation::UpdateAttrs,
        Operation::DeleteAttrs,
        Operation::DeleteEntity,
        Operation::MergeEntity,
        Operation::ReplaceEntity,
        Operation::ReplaceAttrs,
        Operation::PurgeEntity,
        Operation::CreateBatch,
        Operation::UpsertBatch,
        Operation::UpdateBatch,
        Operation::DeleteBatch,
        Operation::MergeBatch,
        Operation::UpsertTemporal,
        Operation::AppendAttrsTemporal,
        Operation::DeleteAttrsTemporal,
        Operation::UpdateAttrInstanceTemporal,
        Operation::DeleteAttrInstanceTemporal,
        Operation::DeleteTemporal,
        Operation::RetrieveEntity,
        Operation::QueryEntity,
        Operation::QueryBatch,
        Operation::RetrieveTemporal,
        Operation::QueryTemporal,
        Operation::RetrieveEntityTypes,
        Operation::RetrieveEntityTypeDetails,
        Operation::RetrieveEntityTypeInfo,
        Operation::RetrieveAttrTypes,
        Operation::RetrieveAttrTypeDetails,
        Operation::RetrieveAttrTypeInfo,
        Operation::CreateSubscription,
        Operation::UpdateSubscription,
        Operation::RetrieveSubscription,
        Operation::QuerySubscription,
        Operation::DeleteSubscription,
        Operation::RetrieveEntityMap,
        Operation::UpdateEntityMap,
        Operation::DeleteEntityMap,
        Operation::CreateEntityMapQueryEntity,
        Operation::CreateEntityMapQueryTemporal,
        Operation::RetrieveContextSourceIdentity,
    ];

    /// The name in `operations`.
    pub fn word(self) -> &'static str {
        match self {
            Operation::CreateEntity => "createEntity",
            Operation::UpdateEntity => "updateEntity",
            Operation::AppendAttrs => "appendAttrs",
            Operation::UpdateAttrs => "updateAttrs",
            Operation::DeleteAttrs => "deleteAttrs",
            Operation::DeleteEntity => "deleteEntity",
            Operation::MergeEntity => "mergeEntity",
            Operation::ReplaceEntity => "replaceEntity",
            Operation::ReplaceAttrs => "replaceAttrs",
            Operation::PurgeEntity => "purgeEntity",
            Operation::CreateBatch => "createBatch",
            Operation::UpsertBatch => "upsertBatch",
            Operation::UpdateBatch => "updateBatch",
            Operation::DeleteBatch => "deleteBatch",
            Operation::MergeBatch => "mergeBatch",
            Operation::UpsertTemporal => "upsertTemporal",
            Operation::AppendAttrsTemporal => "appendAttrsTemporal",
            Operation::DeleteAttrsTemporal => "deleteAttrsTemporal",
            Operation::UpdateAttrInstanceTemporal => "updateAttrInstanceTemporal",
            Operation::DeleteAttrInstanceTemporal => "deleteAttrInstanceTemporal",
            Operation::DeleteTemporal => "deleteTemporal",
            Operation::RetrieveEntity => "retrieveEntity",
            Operation::QueryEntity => "queryEntity",
            Operation::QueryBatch => "queryBatch",
            Operation::RetrieveTemporal => "retrieveTemporal",
            Operation::QueryTemporal => "queryTemporal",
            Operation::RetrieveEntityTypes => "retrieveEntityTypes",
            Operation::RetrieveEntityTypeDetails => "retrieveEntityTypeDetails",
            Operation::RetrieveEntityTypeInfo => "retrieveEntityTypeInfo",
            Operation::RetrieveAttrTypes => "retrieveAttrTypes",
            Operation::RetrieveAttrTypeDetails => "retrieveAttrTypeDetails",
            Operation::RetrieveAttrTypeInfo => "retrieveAttrTypeInfo",
            Operation::CreateSubscription => "createSubscription",
            Operation::UpdateSubscription => "updateSubscription",
            Operation::RetrieveSubscription => "retrieveSubscription",
            Operation::QuerySubscription => "querySubscription",
            Operation::DeleteSubscription => "deleteSubscription",
            Operation::RetrieveEntityMap => "retrieveEntityMap",
            Operation::UpdateEntityMap => "updateEntityMap",
            Operation::DeleteEntityMap => "deleteEntityMap",
            Operation::CreateEntityMapQueryEntity => "createEntityMapQueryEntity",
            Operation::CreateEntityMapQueryTemporal => "createEntityMapQueryTemporal",
            Operation::RetrieveContextSourceIdentity => "retrieveContextSourceIdentity",
        }
    }

    /// The operation of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.word() == word)
    }
}

/// A set of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Operations(u64);

impl Operations {
    /// No operation.
    pub const NONE: Self = Self(0);

    /// `retrieveOps`.
    pub const RETRIEVE: Self = Self::of(&[Operation::RetrieveEntity, Operation::QueryEntity]);

    /// `updateOps`.
    pub const UPDATE: Self = Self::of(&[
        Operation::UpdateEntity,
        Operation::UpdateAttrs,
        Operation::ReplaceEntity,
        Operation::ReplaceAttrs,
    ]);

    /// `associationOps`.
    pub const ASSOCIATION: Self = Self::RETRIEVE.and(Self::DISCOVERY).and(Self::of(&[
        Operation::QueryBatch,
        Operation::CreateSubscription,
        Operation::UpdateSubscription,
        Operation::RetrieveSubscription,
        Operation::QuerySubscription,
        Operation::DeleteSubscription,
        Operation::RetrieveContextSourceIdentity,
    ]));

    /// `federationOps`, what a registration supports if it does not say.
    pub const FEDERATION: Self = Self::ASSOCIATION.and(Self::ENTITY_MAPS);

    /// `redirectionOps`.
    pub const REDIRECTION: Self =
        Self::RETRIEVE.and(Self::DISCOVERY).and(Self::ENTITY_MAPS).and(Self::of(&[
            Operation::CreateEntity,
            Operation::UpdateEntity,
            Operation::AppendAttrs,
            Operation::UpdateAttrs,
            Operation::DeleteAttrs,
            Operation::DeleteEntity,
            Operation::MergeEntity,
            Operation::ReplaceEntity,
            Operation::ReplaceAttrs,
            Operation::PurgeEntity,
            Operation::RetrieveContextSourceIdentity,
        ]));

    const DISCOVERY: Self = Self::of(&[
        Operation::RetrieveEntityTypes,
        Operation::RetrieveEntityTypeDetails,
        Operation::RetrieveEntityTypeInfo,
        Operation::RetrieveAttrTypes,
        Operation::RetrieveAttrTypeDetails,
        Operation::RetrieveAttrTypeInfo,
    ]);

    const ENTITY_MAPS: Self = Self::of(&[
        Operation::RetrieveEntityMap,
        Operation::UpdateEntityMap,
        Operation::DeleteEntityMap,
        Operation::CreateEntityMapQueryEntity,
    ]);

    /// The set of these.
    pub const fn of(operations: &[Operation]) -> Self {
        let mut bits = 0;
        let mut place = 0;
        while place < operations.len() {
            bits |= 1 << operations[place] as u64;
            place += 1;
        }
        Self(bits)
    }

    /// What a word in `operations` stands for: one operation, or a group.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "retrieveOps" => Self::RETRIEVE,
            "updateOps" => Self::UPDATE,
            "associationOps" => Self::ASSOCIATION,
            "federationOps" => Self::FEDERATION,
            "redirectionOps" => Self::REDIRECTION,
            word => Self::of(&[Operation::from_word(word)?]),
        })
    }

    /// What is in either set.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the operation is in the set.
    pub const fn has(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u64) != 0
    }

    /// Whether everything in the set is in the other one too.
    pub const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The operations in the set.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| self.has(*operation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_place_and_a_name_of_its_own() {
        for (place, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, place);
            assert_eq!(Operation::from_word(operation.word()), Some(operation));
            assert_eq!(Operations::of(&[operation]).iter().collect::<Vec<_>>(), [operation]);
        }
    }

    #[test]
    fn groups_hold_what_the_specification_says() {
        let group = |word: &str| Operations::from_word(word).expect("a group");
        for (word, count) in [
            ("retrieveOps", 2),
            ("updateOps", 4),
            ("associationOps", 15),
            ("federationOps", 19),
            ("redirectionOps", 23),
            ("queryTemporal", 1),
        ] {
            assert_eq!(group(word).iter().count(), count, "{word}");
        }
        assert!(group("retrieveOps").within(group("associationOps")));
        assert!(group("associationOps").within(group("federationOps")));
        assert!(!group("redirectionOps").has(Operation::CreateBatch));
        assert!(!group("federationOps").has(Operation::CreateEntityMapQueryTemporal));
        assert_eq!(Operations::from_word("allOps"), None);
    }
}
